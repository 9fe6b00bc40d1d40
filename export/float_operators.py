"""What each operator of a lowered network computes, in float and differentiable: torch functions of [N, *shape] tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .float_graph import FloatOp, Kind

FloatOperator = Callable[[FloatOp, list[Tensor], tuple[int, ...]], Tensor]  # op, inputs, the output's shape for one image


def convolve(op: FloatOp, x: Tensor, weights: Tensor) -> Tensor:
    """The sums of a CONV_2D, with groups too, or a DEPTHWISE_CONV_2D; weights in TFLite's order, without bias and activation."""
    depthwise = op.kind is Kind.DEPTHWISE_CONV_2D
    kernel = weights.permute(3, 0, 1, 2) if depthwise else weights.permute(0, 3, 1, 2)
    maps = _maps(x)
    stride, dilation = _pair(op, "strideH", "strideW"), _pair(op, "dilationHFactor", "dilationWFactor")
    maps = F.pad(maps, _same_padding(op, maps, kernel.shape[2:], stride, dilation))
    found = F.conv2d(maps, kernel, None, stride, dilation=dilation, groups=maps.shape[1] // kernel.shape[1])
    return _nhwc(found, x)


def pool_sums(op: FloatOp, x: Tensor) -> tuple[Tensor, Tensor]:
    """(the sum of each window's elements [N, 1, H, W, C], how many they are [1, 1, H, W, 1]); padded positions do not count."""
    window, stride = _pair(op, "filterHeight", "filterWidth"), _pair(op, "strideH", "strideW")
    maps = _maps(x)
    pads = _same_padding(op, maps, window, stride)
    sums = F.avg_pool2d(F.pad(maps, pads), window, stride, divisor_override=1)
    counts = F.avg_pool2d(F.pad(torch.ones_like(maps[:1, :1]), pads), window, stride, divisor_override=1)
    return _nhwc(sums, x), counts.permute(0, 2, 3, 1)[None]


def activated(op: FloatOp, value: Tensor) -> Tensor:
    """The fused activation."""
    activation = op.options.get("fusedActivationFunction", "NONE")
    if activation == "NONE":
        return value
    assert activation in ("RELU", "RELU6"), activation
    return value.clamp(0, 6) if activation == "RELU6" else value.relu()


def _maps(x: Tensor) -> Tensor:
    """[N, 1, H, W, C] as torch's [N, C, H, W]."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def _nhwc(maps: Tensor, like: Tensor) -> Tensor:
    """The way back from `_maps`: [N, 1, H, W, C]; the first two sizes are those of `like`."""
    found: Tensor = maps.permute(0, 2, 3, 1).unflatten(0, like.shape[:2])
    return found


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


def _unary(function: Callable[[Tensor], Tensor]) -> FloatOperator:
    return lambda op, inputs, shape: function(inputs[0])


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> FloatOperator:
    return lambda op, inputs, shape: activated(op, function(inputs[0], inputs[1]))


def _reduce(function: Callable[..., Tensor]) -> FloatOperator:
    def run(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        dims = [int(axis) + 1 for axis in op.parameters[0]]
        return function(inputs[0], dim=dims, keepdim=True).reshape(len(inputs[0]), *shape)

    return run


def _average_pool(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    sums, counts = pool_sums(op, inputs[0])
    return activated(op, sums / counts)


def _max_pool(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    window, stride = _pair(op, "filterHeight", "filterWidth"), _pair(op, "strideH", "strideW")
    maps = _maps(inputs[0])
    padded = F.pad(maps, _same_padding(op, maps, window, stride), value=-float("inf"))
    return activated(op, _nhwc(F.max_pool2d(padded, window, stride), inputs[0]))


def _slice(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    begin = op.parameters[0].tolist()
    steps = op.parameters[2].tolist() if op.kind is Kind.STRIDED_SLICE else [1] * len(begin)
    ranges = [slice(b, b + (size - 1) * step + 1, step) for b, size, step in zip(begin, shape, steps, strict=True)]
    return inputs[0][(slice(None), *ranges)]


def _pad(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    around: list[int] = [int(size) for pair in reversed(op.parameters[0].tolist()) for size in pair]
    return F.pad(inputs[0], around)


def _gather(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    return inputs[0].index_select(int(op.options["axis"]) + 1, torch.from_numpy(op.parameters[0]).long())


def _transpose(op: FloatOp, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    return inputs[0].permute(0, *(int(axis) + 1 for axis in op.parameters[0]))


MOVES: Mapping[Kind, FloatOperator] = {
    Kind.RESHAPE: lambda op, inputs, shape: inputs[0].reshape(len(inputs[0]), *shape),
    Kind.SLICE: _slice,
    Kind.STRIDED_SLICE: _slice,
    Kind.GATHER: _gather,
    Kind.PAD: _pad,
    Kind.MAX_POOL_2D: _max_pool,
    Kind.REDUCE_MAX: _reduce(torch.amax),
    Kind.CONCATENATION: lambda op, inputs, shape: torch.cat(inputs, int(op.options["axis"]) + 1),
    Kind.MAXIMUM: _binary(torch.maximum),
    Kind.MINIMUM: _binary(torch.minimum),
    Kind.REDUCE_MIN: _reduce(torch.amin),
    Kind.TRANSPOSE: _transpose,
}
"""Operators whose outputs are elements of inputs with the same scale, or 0: in int8 they compute what they compute in float."""

ARITHMETIC: Mapping[Kind, FloatOperator] = {
    Kind.ADD: _binary(torch.add),
    Kind.SUB: _binary(torch.sub),
    Kind.MUL: _binary(torch.mul),
    Kind.SQUARED_DIFFERENCE: _binary(lambda a, b: (a - b).square()),
    Kind.MEAN: _reduce(torch.mean),
    Kind.AVERAGE_POOL_2D: _average_pool,
    Kind.SOFTMAX: lambda op, inputs, shape: torch.softmax(inputs[0] * float(op.options.get("beta", 1.0)), -1),
    Kind.LOGISTIC: _unary(torch.sigmoid),
    Kind.HARD_SWISH: _unary(F.hardswish),
    Kind.RELU: _unary(torch.relu),
    Kind.RELU6: _unary(F.relu6),
    Kind.LEAKY_RELU: lambda op, inputs, shape: F.leaky_relu(inputs[0], float(op.options["alpha"])),
    Kind.TANH: _unary(torch.tanh),
    Kind.TABLE: lambda op, inputs, shape: op.options["term"].at(inputs[0]),
    Kind.QUANTIZE: _unary(lambda value: value),
}
"""Operators that int8 rounds in."""

FLOAT_OPERATORS: Mapping[Kind, FloatOperator] = {**MOVES, **ARITHMETIC}
WEIGHTED = frozenset({Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D})
