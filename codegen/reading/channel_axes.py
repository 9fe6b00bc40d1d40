"""Weights and biases in the one form that the operators mean.

LiteRT's kernels take the n-th scale of the weights for the n-th output channel, whatever axis the file names, and the n-th bias
for it, whatever shape the bias has; they never read the scale of a bias. TensorFlow 1's converter gave biases the axis of the
weights; others write biases of shape [1, n] or [n, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .file_model import FileModel, FileOp, FileTensor

CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


def channel_axes(model: FileModel) -> FileModel:
    """The model with its weights quantized along the output channels, and its biases flat."""
    changed: dict[tuple[FileTensor, int], FileTensor] = {}  # operators that share a tensor go on sharing it

    def once(tensor: FileTensor, axis: int, change: Callable[[FileTensor, int], FileTensor]) -> FileTensor:
        if (tensor, axis) not in changed:
            changed[tensor, axis] = change(tensor, axis)
        return changed[tensor, axis]

    def of(op: FileOp) -> FileOp:
        axis = CHANNEL_AXIS.get(op.opcode)
        if axis is None or len(op.inputs) < 2:
            return op
        data, weights, *rest = op.inputs
        if weights is not None and weights.is_constant:
            weights = once(weights, axis, _along)
        if rest and rest[0] is not None and rest[0].is_constant:
            rest[0] = once(rest[0], -1, _flat)
        return replace(op, inputs=(data, weights, *rest))

    return replace(model, ops=tuple(map(of, model.ops)))


def _along(weights: FileTensor, axis: int) -> FileTensor:
    q, shape = weights.quantization, weights.shape
    is_per_channel = q is not None and len(q.scales) > 1 and axis < len(shape) and shape[axis] == len(q.scales)
    if q is None or not is_per_channel or q.axis == axis:
        return weights
    return replace(weights, quantization=replace(q, axis=axis))


def _flat(bias: FileTensor, _: int) -> FileTensor:
    data, q = bias.constant().reshape(-1), bias.quantization
    axis_fits = q is None or q.axis is None or (q.axis == 0 and len(q.scales) == data.size)
    if len(bias.shape) == 1 and axis_fits:
        return bias
    return replace(bias, shape=data.shape, data=data, quantization=q if axis_fits and len(bias.shape) == 1 else None)
