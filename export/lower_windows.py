"""Convolutions and poolings: the window, its padding in TFLite's words, the weights in TFLite's order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .float_graph import Array, Kind
from .layout import Layout, channels_last_order
from .lower_builder import Builder, CannotLowerError, nhwc
from .onnx_graph import Node
from .onnx_nodes import clip_bounds


@dataclass(frozen=True)
class Axis:
    """A window along one axis; `before` and `after` are the padded positions that it reads."""

    size: int
    output: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def is_same(self) -> bool:
        """Whether TFLite's SAME pads exactly so."""
        span = (self.kernel - 1) * self.dilation + 1
        total = max((self.output - 1) * self.stride + span - self.size, 0)
        return self.output == -(-self.size // self.stride) and (self.before, self.after) == (total // 2, total - total // 2)


def lower_conv(b: Builder, node: Node) -> None:
    """CONV_2D, with groups too, or DEPTHWISE_CONV_2D; a 1-D convolution is one of height 1."""
    weights = b.constant(node, 1, "weights")
    bias = b.constant(node, 2, "biases") if len(node.inputs) > 2 and node.inputs[2] else None
    if weights.ndim not in (3, 4):
        raise CannotLowerError(f"a convolution over {weights.ndim - 2} axes")
    if weights.ndim == 3:
        weights = weights[:, :, None, :]
    channels, groups = b.shape(node.inputs[0])[1], node.attrs.get("group", 1)
    depthwise = groups == channels and groups > 1
    tensor, layout, weights, bias = _in_channel_order(b, node, weights, bias, groups)
    axes = _axes(b, node, weights.shape[2:])
    tensor, padding = _padded(b, node, axes, tensor)
    value, activation = b.fused_activation(node)
    options = {
        "padding": padding,
        "strideH": axes[0].stride,
        "strideW": axes[1].stride,
        "dilationHFactor": axes[0].dilation,
        "dilationWFactor": axes[1].dilation,
        "fusedActivationFunction": activation,
    }
    if depthwise:
        options["depthMultiplier"] = weights.shape[0] // channels
    b.emit(
        Kind.DEPTHWISE_CONV_2D if depthwise else Kind.CONV_2D,
        node,
        [tensor],
        value,
        nhwc(b.shape(node.output)),
        layout,
        options=options,
        weights=_tflite_order(weights, depthwise),
        bias=bias,
    )


def _in_channel_order(
    b: Builder, node: Node, weights: Array, bias: Array | None, groups: int
) -> tuple[str, Layout, Array, Array | None]:
    """(NHWC input, layout of the output, weights, bias): shuffled channels are read as they lie, where no group mixes them.

    A depthwise convolution leaves them shuffled; its filters follow them.
    """
    value, layout = node.inputs[0], _output_layout(b, node)
    tensor, order = b.shuffled_channels_last(value)
    channels = np.array(order)
    share = len(channels) // groups
    if share == 1 and groups > 1:
        filters = np.arange(len(weights)).reshape(groups, -1)[channels].reshape(-1)
        layout = Layout.with_channels_of(b.placed(value).layout, b.shape(node.output))
        return tensor, layout, weights[filters], None if bias is None else bias[filters]
    if (channels // share != np.arange(len(channels)) // share).any():
        return b.channels_last(value), layout, weights, bias
    taken = (channels % share).reshape(groups, share)  # the weights of group g are in the order of its channels
    by_group = zip(np.split(weights, groups), taken, strict=True)
    return tensor, layout, np.concatenate([part[:, columns] for part, columns in by_group]), bias


def _tflite_order(weights: Array, depthwise: bool) -> Array:
    """OIHW -> OHWI; depthwise [C * h, 1, H, W] -> [1, H, W, C * h], whose filters are in the same order."""
    return weights.transpose(1, 2, 3, 0) if depthwise else weights.transpose(0, 2, 3, 1)


def lower_max_pool(b: Builder, node: Node) -> None:
    """MAX_POOL_2D. Padding that is not SAME is zeros, which is right only where nothing is negative."""
    if any(node.outputs[1:]) or any(dilation != 1 for dilation in node.attrs.get("dilations", [])):
        raise CannotLowerError("indices and dilations have no kernel")
    axes = _axes(b, node, node.attrs["kernel_shape"])
    needs_pad = any(axis.before or axis.after for axis in axes) and not all(axis.is_same for axis in axes)
    if needs_pad and not _is_never_negative(b, node.inputs[0]):
        raise CannotLowerError("its padding is not TFLite's SAME and its input may be negative; put a Relu before it")
    _emit_pool(b, node, Kind.MAX_POOL_2D, axes, b.channels_last(node.inputs[0]))


def _is_never_negative(b: Builder, value: str) -> bool:
    node = b.producers.get(value)
    while node is not None and node.op in ("Reshape", "MaxPool", "Slice"):
        node = b.producers.get(node.inputs[0])
    if node is not None and node.op == "Clip":
        return (clip_bounds(node, b.graph) or (-1.0, 0.0))[0] >= 0.0
    return node is not None and node.op in ("Relu", "Sigmoid", "Softmax")


def lower_average_pool(b: Builder, node: Node) -> None:
    """AVERAGE_POOL_2D, which leaves padded positions out of the count; PAD and VALID where they count."""
    if any(dilation != 1 for dilation in node.attrs.get("dilations", [])):
        raise CannotLowerError("dilations have no kernel")
    axes = _axes(b, node, node.attrs["kernel_shape"])
    padded = any(axis.before or axis.after for axis in axes)
    tensor = b.channels_last(node.inputs[0])
    if padded and node.attrs.get("count_include_pad", 0):
        tensor = _pad(b, node, axes, tensor)
        axes = [Axis(a.size + a.before + a.after, a.output, a.kernel, a.stride, 1, 0, 0) for a in axes]
    elif padded and not all(axis.is_same for axis in axes):
        raise CannotLowerError("its padding is neither counted nor TFLite's SAME; use count_include_pad=True")
    if node.attrs.get("ceil_mode", 0) and any((a.output - 1) * a.stride + a.kernel > a.size + a.before for a in axes):
        raise CannotLowerError("ceil_mode with windows that leave the map")
    _emit_pool(b, node, Kind.AVERAGE_POOL_2D, axes, tensor)


def _emit_pool(b: Builder, node: Node, kind: Kind, axes: list[Axis], tensor: str) -> None:
    tensor, padding = _padded(b, node, axes, tensor)
    h, w = axes
    options = {
        "padding": padding,
        "strideH": h.stride,
        "strideW": w.stride,
        "filterHeight": h.kernel,
        "filterWidth": w.kernel,
    }
    b.emit(kind, node, [tensor], node.output, nhwc(b.shape(node.output)), _output_layout(b, node), options=options)


def _output_layout(b: Builder, node: Node) -> Layout:
    shape = b.shape(node.output)
    return Layout.ordered(shape, channels_last_order(len(shape)))


def _axes(b: Builder, node: Node, kernel: tuple[int, ...]) -> list[Axis]:
    """The window along height and width (height 1 for 1-D), with only the padding that is read."""
    sizes, outputs = b.shape(node.inputs[0])[2:], b.shape(node.output)[2:]
    rank = len(sizes)
    kernel = tuple(kernel)[-rank:]
    strides = tuple(node.attrs.get("strides", ())) or (1,) * rank
    dilations = tuple(node.attrs.get("dilations", ())) or (1,) * rank
    auto_pad = node.attrs.get("auto_pad", b"NOTSET")
    auto_pad = auto_pad.decode() if isinstance(auto_pad, bytes) else auto_pad
    pads = tuple(node.attrs.get("pads", ())) or (0,) * 2 * rank
    result = []
    for index in range(rank):
        span = (kernel[index] - 1) * dilations[index] + 1
        needed = (outputs[index] - 1) * strides[index] + span - sizes[index]  # read beyond the input, both sides together
        before = pads[index]
        if auto_pad.startswith("SAME"):
            before = (max(needed, 0) + (auto_pad == "SAME_LOWER")) // 2
        elif auto_pad == "VALID":
            before = 0
        after = max(needed - before, 0)
        result.append(Axis(sizes[index], outputs[index], kernel[index], strides[index], dilations[index], before, after))
    return result if rank == 2 else [Axis(1, 1, 1, 1, 1, 0, 0), *result]


def _padded(b: Builder, node: Node, axes: list[Axis], tensor: str) -> tuple[str, str]:
    """(tensor, TFLite's padding): an explicit PAD only where neither SAME nor VALID pads so."""
    if not any(axis.before or axis.after for axis in axes):
        return tensor, "VALID"
    if all(axis.is_same for axis in axes):
        return tensor, "SAME"
    return _pad(b, node, axes, tensor), "VALID"


def _pad(b: Builder, node: Node, axes: list[Axis], tensor: str) -> str:
    batch, height, width, channels = b.tensor_shape(tensor)
    h, w = axes
    shape = (batch, height + h.before + h.after, width + w.before + w.after, channels)
    paddings = np.array([[0, 0], [h.before, h.after], [w.before, w.after], [0, 0]], np.int32)
    return b.pad_once(node, tensor, shape, paddings)
