"""A lowered network as a torch module: in float, or with exactly the rounding of weights and activations that `quantize` writes.

Weights and biases are parameters. In each forward pass `quantize_layer` itself gives their int8 and int32 values and scales, so
what is simulated is what is exported; gradients pass the rounding unchanged (straight-through), and stop where an activation is
clipped. Sums and products are in float32: where LiteRT's integer arithmetic rounds inside an operator, the simulation can be off
by a unit of the output's scale.

Every tensor has one more dimension in front than in the `.tflite`: the images of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BadModel
from .activation_scales import Affine
from .float_graph import Array, FloatGraph, FloatOp, Kind
from .quantize import quantize_layer

# Outputs are elements of inputs with the same scale, or 0: nothing to round.
_EXACT = {
    Kind.RESHAPE,
    Kind.SLICE,
    Kind.STRIDED_SLICE,
    Kind.PAD,
    Kind.MAX_POOL_2D,
    Kind.REDUCE_MAX,
    Kind.CONCATENATION,
    Kind.MAXIMUM,
}


class SimulatedNetwork(nn.Module):
    """graph   with the QUANTIZEs that `choose_scales` puts in
    affine     the quantization of every tensor; None computes in float
    """

    def __init__(self, graph: FloatGraph, affine: Mapping[str, Affine] | None):
        super().__init__()
        unknown = sorted({op.kind.value for op in graph.ops} - {kind.value for kind in _OPERATORS} - _WEIGHTED_NAMES)
        if unknown:
            raise BadModel(f"fine-tuning cannot simulate {', '.join(unknown)}; export without --qat-epochs")
        self.graph = graph
        self.affine = affine
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        self._constants: dict[str, Tensor] = {}
        for index, op in enumerate(graph.ops):
            if op.weights is not None:
                self.weights[str(index)] = nn.Parameter(_float32(op.weights))
                if op.bias is not None:
                    self.biases[str(index)] = nn.Parameter(_float32(op.bias))
        for name, tensor in graph.tensors.items():
            if tensor.data is not None:
                constant = _float32(tensor.data)
                self._constants[name] = constant if affine is None else fake_quantize(constant, affine[name])

    def forward(self, stored: Tensor) -> Tensor:
        """The first output, [N, elements], of images as the input tensor holds them ([N, *its shape])."""
        values = dict(self._constants)
        (name,) = self.graph.inputs
        values[name] = self._rounded(name, stored)
        for index, op in enumerate(self.graph.ops):
            if op.weights is not None:
                found = self._convolve(index, op, values[op.inputs[0]])
            else:
                found = _OPERATORS[op.kind](op, [values[name] for name in op.inputs], self.graph.tensors[op.output].shape)
            values[op.output] = found if op.kind in _EXACT else self._rounded(op.output, found)
        return values[self.graph.outputs[0]].flatten(1)

    def stored(self, images: Array) -> Tensor:
        """Images [N, C, H, W] as the input tensor holds them."""
        tensor = self.graph.tensors[self.graph.inputs[0]]
        return _float32(np.stack([tensor.stored(image[None]) for image in images]))

    def changed_graph(self) -> FloatGraph:
        """The graph with the weights and biases of now."""
        ops = [self._now(index, op) if op.weights is not None else op for index, op in enumerate(self.graph.ops)]
        return replace(self.graph, ops=tuple(ops))

    def _now(self, index: int, op: FloatOp) -> FloatOp:
        bias = self.biases[str(index)].detach().numpy().copy() if op.bias is not None else None
        return replace(op, weights=self.weights[str(index)].detach().numpy().copy(), bias=bias)

    def _rounded(self, name: str, value: Tensor) -> Tensor:
        return value if self.affine is None else fake_quantize(value, self.affine[name])

    def _convolve(self, index: int, op: FloatOp, x: Tensor) -> Tensor:
        weights: Tensor = self.weights[str(index)]
        bias: Tensor | None = self.biases[str(index)] if op.bias is not None else None
        depthwise = op.kind is Kind.DEPTHWISE_CONV_2D
        if self.affine is not None:
            input_scale = self.affine[op.inputs[0]].scale
            layer = quantize_layer(self._now(index, op), input_scale, self.affine[op.output].scale)
            by_channel = layer.scales if depthwise else layer.scales.reshape(-1, 1, 1, 1)
            weights = _straight_through(weights, layer.weights * by_channel)
            if bias is not None:
                bias = _straight_through(bias, layer.bias * (input_scale * layer.scales))
        kernel = weights.permute(3, 0, 1, 2) if depthwise else weights.permute(0, 3, 1, 2)
        maps = x.flatten(0, 1).permute(0, 3, 1, 2)
        stride, dilation = _pair(op, "strideH", "strideW"), _pair(op, "dilationHFactor", "dilationWFactor")
        maps = F.pad(maps, _same_padding(op, maps, kernel.shape[2:], stride, dilation))
        groups = maps.shape[1] if depthwise else 1
        found = F.conv2d(maps, kernel, bias, stride, dilation=dilation, groups=groups)
        return _activated(op, found.permute(0, 2, 3, 1).unflatten(0, x.shape[:2]))


def fake_quantize(value: Tensor, affine: Affine) -> Tensor:
    """The real numbers that int8 holds of `value`; the gradient is 1 inside int8's range, 0 outside."""
    low, high = affine.bounds
    clipped = value.clamp(low, high)
    steps = torch.round(clipped.detach() / affine.scale)
    return clipped + (steps * affine.scale - clipped).detach()


def _straight_through(parameter: Tensor, rounded: Array) -> Tensor:
    return parameter + (_float32(rounded) - parameter).detach()


def _float32(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))  # a copy: the optimizer writes into it


def _pair(op: FloatOp, height: str, width: str) -> tuple[int, int]:
    return int(op.options.get(height, 1)), int(op.options.get(width, 1))


def _same_padding(
    op: FloatOp, maps: Tensor, window: Sequence[int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> list[int]:
    """F.pad's list for TFLite's SAME: the odd element is after."""
    if op.options["padding"] == "VALID":
        return [0, 0, 0, 0]
    pads: list[int] = []
    for size, kernel, step, apart in reversed(list(zip(maps.shape[2:], window, stride, dilation, strict=True))):
        total = max((-(-size // step) - 1) * step + (kernel - 1) * apart + 1 - size, 0)
        pads += [total // 2, total - total // 2]
    return pads


def _activated(op: FloatOp, value: Tensor) -> Tensor:
    activation = op.options.get("fusedActivationFunction", "NONE")
    if activation == "NONE":
        return value
    assert activation in ("RELU", "RELU6"), activation
    return value.clamp(0, 6) if activation == "RELU6" else value.relu()


_Operator = Callable[[FloatOp, list[Tensor], tuple[int, ...]], Tensor]


def _unary(function: Callable[[Tensor], Tensor]) -> _Operator:
    return lambda op, inputs, shape: function(inputs[0])


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> _Operator:
    return lambda op, inputs, shape: _activated(op, function(inputs[0], inputs[1]))


def _reduce(function: Callable[..., Tensor]) -> _Operator:
    def run(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        dims = [int(axis) + 1 for axis in op.parameters[0]]
        return function(inputs[0], dim=dims, keepdim=True).reshape(len(inputs[0]), *shape)

    return run


def _pool(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    window, stride = _pair(op, "filterHeight", "filterWidth"), _pair(op, "strideH", "strideW")
    maps = inputs[0].flatten(0, 1).permute(0, 3, 1, 2)
    pads = _same_padding(op, maps, window, stride)
    if op.kind is Kind.MAX_POOL_2D:
        found = F.max_pool2d(F.pad(maps, pads, value=-float("inf")), window, stride)
    else:  # padded positions do not count
        inside = F.avg_pool2d(F.pad(torch.ones_like(maps[:1, :1]), pads), window, stride)
        found = F.avg_pool2d(F.pad(maps, pads), window, stride) / inside
    return _activated(op, found.permute(0, 2, 3, 1).reshape(len(inputs[0]), *shape))


def _slice(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    begin = op.parameters[0].tolist()
    steps = op.parameters[2].tolist() if op.kind is Kind.STRIDED_SLICE else [1] * len(begin)
    ranges = [slice(b, b + (size - 1) * step + 1, step) for b, size, step in zip(begin, shape, steps, strict=True)]
    return inputs[0][(slice(None), *ranges)]


def _pad(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    around: list[int] = [int(size) for pair in reversed(op.parameters[0].tolist()) for size in pair]
    return F.pad(inputs[0], around)


_WEIGHTED_NAMES = {Kind.CONV_2D.value, Kind.DEPTHWISE_CONV_2D.value}
_OPERATORS: dict[Kind, _Operator] = {
    Kind.ADD: _binary(torch.add),
    Kind.SUB: _binary(torch.sub),
    Kind.MUL: _binary(torch.mul),
    Kind.MAXIMUM: _binary(torch.maximum),
    Kind.SQUARED_DIFFERENCE: _binary(lambda a, b: (a - b).square()),
    Kind.MEAN: _reduce(torch.mean),
    Kind.REDUCE_MAX: _reduce(torch.amax),
    Kind.AVERAGE_POOL_2D: _pool,
    Kind.MAX_POOL_2D: _pool,
    Kind.SOFTMAX: lambda op, inputs, shape: torch.softmax(inputs[0] * float(op.options.get("beta", 1.0)), -1),
    Kind.LOGISTIC: _unary(torch.sigmoid),
    Kind.HARD_SWISH: _unary(F.hardswish),
    Kind.RELU: _unary(torch.relu),
    Kind.RELU6: _unary(F.relu6),
    Kind.CONCATENATION: lambda op, inputs, shape: torch.cat(inputs, int(op.options["axis"]) + 1),
    Kind.SLICE: _slice,
    Kind.STRIDED_SLICE: _slice,
    Kind.PAD: _pad,
    Kind.RESHAPE: lambda op, inputs, shape: inputs[0].reshape(len(inputs[0]), *shape),
    Kind.QUANTIZE: _unary(lambda value: value),
}
