"""The golden twin's operators on int16: as `onnx_twin` has those on int8.

ONNX's integer convolution takes bytes: an int16 value is 256 times a signed byte and an unsigned one, and so is a convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from onnx import TensorProto

from ..codegen import fixed_point as fp
from ..codegen.activations_16 import SLOPED, interpolated, logistic_16, slopes, softmax_multiplier_16, softmax_tables, tanh_16x8
from ..codegen.ir import ClampAttrs, ConvAttrs, DType, Op, OpKind, PadAttrs, PoolAttrs, ReduceAttrs, SliceAttrs, SoftmaxAttrs
from ..codegen.reference import channel_factors, channel_multipliers, has_wide_sums
from .onnx_geometry import convolution_geometry, dilations, groups_of, real_positions, shifted, uniform, weights_oihw
from .onnx_graph import OnnxGraph

EVERY_INT16 = np.arange(-(1 << 15), 1 << 15, dtype=np.int64)


def _bias(op: Op, out: OnnxGraph, acc: str, shape: tuple[int, ...]) -> str:
    if len(op.inputs) < 3:
        return acc
    return out.node("Add", acc, out.int64(out.source.tensor(op.inputs[2]).constant().astype(np.int64).reshape(shape)))


def _bytes_of(out: OnnxGraph, name: str) -> tuple[str, str]:
    """uint8, channels first: the high bytes plus 128, and the low ones."""
    lifted = out.node("Add", out.cast(name, TensorProto.INT32), out.constant(1 << 15, np.int32))
    parts = (out.node(kind, lifted, out.constant(256, np.int32)) for kind in ("Div", "Mod"))
    high, low = (out.node("Transpose", out.node("Cast", p, to=TensorProto.UINT8), perm=[0, 3, 1, 2]) for p in parts)
    return high, low


def _convolution(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ConvAttrs)
    window, weights = op.attrs.window, out.constant(shifted(weights_oihw(op, out.source)), np.uint8)

    def convolved(values: str, zero_point: int) -> str:
        acc = out.node(
            "ConvInteger",
            values,
            weights,
            out.constant(zero_point, np.uint8),
            out.constant(128, np.uint8),
            group=groups_of(op, out.source),
            dilations=dilations(window),
            **convolution_geometry(window),
        )
        return out.node("Cast", acc, to=TensorProto.INT64)

    high, low = _bytes_of(out, op.inputs[0])
    acc = out.node("Add", out.node("Mul", convolved(high, 128), out.int64(256)), convolved(low, 0))
    acc = _bias(op, out, acc, (1, -1, 1, 1))
    multiplier, shift = (uniform(part, (-1, 1, 1)) for part in channel_multipliers(op, out.source))
    scaled = (out.requantize_64 if has_wide_sums(op, out.source) else out.requantize)(acc, multiplier, shift)
    stored = out.stored(scaled, 0, op.attrs.activation_min, op.attrs.activation_max, dtype=DType.INT16)
    out.node("Transpose", stored, perm=[0, 2, 3, 1], output=op.output)


def _fully_connected(op: Op, out: OnnxGraph) -> None:
    """The sum times the factor in double, rounded half away from zero by its distance from the whole number below."""
    assert isinstance(op.attrs, ClampAttrs)
    weights = out.source.tensor(op.inputs[1]).constant().astype(np.int64)
    rows = out.node("Reshape", out.cast(op.inputs[0], TensorProto.INT64), out.int64([-1, weights.shape[1]]))
    acc = _bias(op, out, out.node("MatMul", rows, out.int64(weights.T)), (-1,))
    real = out.node(
        "Mul", out.node("Cast", acc, to=TensorProto.DOUBLE), out.constant(channel_factors(op, out.source), np.float64)
    )
    size = out.node("Abs", real)
    whole = out.node("Floor", size)
    is_above = out.node("GreaterOrEqual", out.node("Sub", size, whole), out.constant(0.5, np.float64))
    rounded = out.node("Add", whole, out.node("Cast", is_above, to=TensorProto.DOUBLE))
    signed = out.node("Cast", out.node("Mul", out.node("Sign", real), rounded), to=TensorProto.INT64)
    stored = out.stored(signed, 0, op.attrs.activation_min, op.attrs.activation_max, dtype=DType.INT16)
    out.node("Reshape", stored, out.int64(out.source.tensor(op.output).shape), output=op.output)


# --- elementwise ----------------------------------------------------------------------------------------------------


def _add_or_sub(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ClampAttrs)
    kind = "Add" if op.kind is OpKind.ADD else "Sub"
    values = [out.cast(name, TensorProto.INT64) for name in op.inputs]
    if op.attrs.shifts is not None:
        left, right = (out.divide_by_pot(v, bits) for v, bits in zip(values, op.attrs.shifts, strict=True))
        total = out.node(kind, left, right)
    else:
        scale0, scale1, scale = (out.source.tensor(name).scale for name in (*op.inputs, op.output))
        factors = fp.add_multipliers(scale0, scale1, scale, left_shift=15)
        left, right = (
            out.requantize(value, factor.multiplier << factors.left_shift, factor.shift)
            for value, factor in zip(values, (factors.input1, factors.input2), strict=True)
        )
        total = out.requantize(out.node(kind, left, right), factors.output.multiplier, factors.output.shift)
    out.stored(total, 0, op.attrs.activation_min, op.attrs.activation_max, op.output, DType.INT16)


def _mul(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ClampAttrs)
    left, right = (out.cast(name, TensorProto.INT64) for name in op.inputs)
    factor = fp.mul_multiplier(*(out.source.tensor(name).scale for name in (*op.inputs, op.output)))
    scaled = out.requantize(out.node("Mul", left, right), factor.multiplier, factor.shift)
    out.stored(scaled, 0, op.attrs.activation_min, op.attrs.activation_max, op.output, DType.INT16)


def _sloped(op: Op, out: OnnxGraph) -> None:
    source, result = out.source.tensor(op.inputs[0]), out.source.tensor(op.output)
    found = slopes(op.kind.value, source, result, result.dtype.limits, op.parameters)
    value = out.centred(op.inputs[0])
    above = out.requantize(value, found.above.multiplier, found.above.shift)
    below = out.requantize(value, found.below.multiplier, found.below.shift)
    below = out.node("Neg", below) if found.negates else below
    chosen = out.node("Where", out.node("Less", value, out.int64(0)), below, above)
    out.stored(chosen, result.zero_point, found.low, found.high, op.output, result.dtype)


def _curve(op: Op, out: OnnxGraph) -> None:
    """LOGISTIC and TANH: every int16 value's result is a constant."""
    curve = logistic_16 if op.kind is OpKind.LOGISTIC else tanh_16x8
    table = curve(EVERY_INT16, out.source.tensor(op.inputs[0]).scale)
    place = out.node("Add", out.cast(op.inputs[0], TensorProto.INT32), out.constant(1 << 15, np.int32))
    out.node("Gather", out.constant(table, np.int16), place, output=op.output)


def _softmax(op: Op, out: OnnxGraph) -> None:
    """Exponentials, their sum and its reciprocal, both functions as tables of every int16 value; product."""
    assert isinstance(op.attrs, SoftmaxAttrs)
    exponentials, reciprocals = (out.int64(interpolated(table, EVERY_INT16)) for table in softmax_tables())
    factor = softmax_multiplier_16(out.source.tensor(op.inputs[0]).scale, op.attrs.beta)
    last = out.int64([-1])

    def looked_up(table: str, value: str) -> str:
        clipped = out.node("Clip", value, out.int64(-(1 << 15)), out.int64((1 << 15) - 1))
        return out.node("Gather", table, out.node("Add", clipped, out.int64(1 << 15)))

    value = out.cast(op.inputs[0], TensorProto.INT64)
    distance = out.node("Sub", value, out.node("ReduceMax", value, last, keepdims=1))
    scaled = out.requantize(distance, factor.multiplier, factor.shift)
    exponential = looked_up(exponentials, out.node("Add", scaled, out.int64((1 << 15) - 1)))
    total = out.node("ReduceSum", exponential, last, keepdims=1)
    powers = np.int64(1) << np.arange(32, dtype=np.int64)
    reached = out.node("Cast", out.node("GreaterOrEqual", total, out.int64(powers)), to=TensorProto.INT64)
    bits = out.node("ReduceSum", reached, last, keepdims=1)  # the sum is below 2^bits
    normalise = out.node("Gather", out.int64(np.append(powers[30::-1], 1)), out.node("Sub", bits, out.int64(1)))
    lifted = out.node("Add", out.node("Mul", total, normalise), out.int64(1 << 13))
    place = out.node("Sub", out.node("Div", lifted, out.int64(1 << 14)), out.int64((1 << 15) + (1 << 16)))
    product = out.node("Mul", exponential, looked_up(reciprocals, place))
    half = out.node("Gather", out.int64(powers), out.node("Sub", bits, out.int64(2)))
    divisor = out.node("Gather", out.int64(powers), out.node("Sub", bits, out.int64(1)))
    out.stored(out.node("Div", out.node("Add", product, half), divisor), 0, 0, (1 << 15) - 1, op.output, DType.INT16)


# --- reductions and pools -------------------------------------------------------------------------------------------


def _mean(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ReduceAttrs)
    source, result = out.source.tensor(op.inputs[0]), out.source.tensor(op.output)
    value = out.cast(op.inputs[0], TensorProto.INT64)
    total = out.node("ReduceSum", value, out.int64(op.attrs.axes), keepdims=int(op.attrs.keep_dims))
    factor = fp.mean_multiplier(source.scale, result.scale, source.num_elements // result.num_elements)
    scaled = out.requantize(total, factor.multiplier, factor.shift)
    out.stored(scaled, 0, *DType.INT16.limits, op.output, DType.INT16)


def _average_pool(op: Op, out: OnnxGraph) -> None:
    """Sums of the high and of the low bytes by convolutions with ones; the count of real positions is a constant."""
    assert isinstance(op.attrs, PoolAttrs)
    window, source = op.attrs.window, out.source.tensor(op.inputs[0])
    ones = out.constant(np.ones((source.shape[3], 1, window.kernel_h, window.kernel_w)), np.uint8)

    def summed(values: str, zero_point: int) -> str:
        zero = out.constant(zero_point, np.uint8)
        acc = out.node("ConvInteger", values, ones, zero, group=source.shape[3], **convolution_geometry(window))
        return out.node("Cast", acc, to=TensorProto.INT64)

    high, low = _bytes_of(out, op.inputs[0])
    total = out.node("Add", out.node("Mul", summed(high, 128), out.int64(256)), summed(low, 0))
    rows = real_positions(source.shape[1], window.kernel_h, window.stride_h, window.pad_top, window.pad_bottom)
    columns = real_positions(source.shape[2], window.kernel_w, window.stride_w, window.pad_left, window.pad_right)
    count = rows[:, np.newaxis] * columns
    nudge = out.node("Mul", out.node("Sign", total), out.int64(count // 2))
    mean = out.node("Div", out.node("Add", total, nudge), out.int64(count))
    stored = out.stored(mean, 0, op.attrs.activation_min, op.attrs.activation_max, dtype=DType.INT16)
    out.node("Transpose", stored, perm=[0, 2, 3, 1], output=op.output)


def _max_pool(op: Op, out: OnnxGraph) -> None:
    """In float32, which holds every int16 value."""
    assert isinstance(op.attrs, PoolAttrs)
    real = out.node("Cast", out.nchw(op.inputs[0]), to=TensorProto.FLOAT)
    largest = out.node("Cast", out.node("MaxPool", real, **convolution_geometry(op.attrs.window)), to=TensorProto.INT64)
    stored = out.stored(largest, 0, op.attrs.activation_min, op.attrs.activation_max, dtype=DType.INT16)
    out.node("Transpose", stored, perm=[0, 2, 3, 1], output=op.output)


# --- moves that onnxruntime has no int16 for ------------------------------------------------------------------------


def _slice(op: Op, out: OnnxGraph) -> None:
    """One Gather for each axis."""
    assert isinstance(op.attrs, SliceAttrs)
    value = out.activation(op.inputs[0])
    shape = out.source.tensor(op.output).shape
    for axis, (begin, stride, count) in enumerate(zip(op.attrs.begin, op.attrs.strides, shape, strict=True)):
        is_last = axis == len(shape) - 1
        places = out.int64(begin + stride * np.arange(count))
        value = out.node("Gather", value, places, axis=axis, output=op.output if is_last else None)


def _pad(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, PadAttrs)
    pads = out.int64([*op.attrs.before, *op.attrs.after])
    padded = out.node("Pad", out.cast(op.inputs[0], TensorProto.INT32), pads, out.constant(0, np.int32))
    out.node("Cast", padded, to=TensorProto.INT16, output=op.output)


EMITTERS: Mapping[OpKind, Callable[[Op, OnnxGraph], None]] = {
    OpKind.CONV_2D: _convolution,
    OpKind.DEPTHWISE_CONV_2D: _convolution,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _add_or_sub,
    OpKind.SUB: _add_or_sub,
    OpKind.MUL: _mul,
    OpKind.LOGISTIC: _curve,
    OpKind.TANH: _curve,
    OpKind.SOFTMAX: _softmax,
    OpKind.MEAN: _mean,
    OpKind.AVERAGE_POOL_2D: _average_pool,
    OpKind.MAX_POOL_2D: _max_pool,
    OpKind.SLICE: _slice,
    OpKind.STRIDED_SLICE: _slice,
    OpKind.PAD: _pad,
    **{OpKind(name): _sloped for name in SLOPED},
}
