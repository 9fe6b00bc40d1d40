"""A slow, obvious NumPy interpreter of the IR: the meaning of every operator, bit-exact with LiteRT's BUILTIN_REF.

Arithmetic comes from `fixed_point`; this module only says which values meet. Accumulators are int64, or float64 matrix
products, which are exact below 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import UnsupportedOperators
from . import fixed_point as fp
from .activations_16 import SLOPED, logistic_16, slopes, softmax_16, tanh_16x8
from .fixed_point_16 import sigmoid_16, tanh_16
from .int8_functions import function_table
from .ir import (
    INT16_KINDS,
    TABLE_KINDS,
    ClampAttrs,
    ConcatAttrs,
    ConvAttrs,
    DType,
    FusedAttrs,
    GatherAttrs,
    Graph,
    MatMulAttrs,
    Op,
    OpKind,
    PadAttrs,
    PoolAttrs,
    ReduceAttrs,
    ResizeAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    Tensor,
    TransposeAttrs,
    Window,
    conv_groups,
    works_on_int16,
)
from .lstm import GATE_BITS, Gate, Sums, lstm_of
from .svdf import svdf_of, wrapped_32

Array = npt.NDArray[np.generic]
Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]
Stored = npt.NDArray[np.integer]
Values = dict[str, Stored]


def run(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Stored]:
    """Every activation tensor of one inference by name, those inside fused operators and constant outputs included.

    inputs  the graph's inputs; of a variable that is not named among them the start value is taken
    """
    values: Values = {n: _integers(inputs.get(n, start), start.dtype) for n, start in graph.start_state().items()}
    for name in graph.inputs:
        values[name] = _integers(inputs[name], inputs[name].dtype)
        assert values[name].dtype.name == graph.tensor(name).dtype.value, f"input {name} is {values[name].dtype}"
        assert values[name].shape == graph.tensor(name).shape, f"input {name} has shape {values[name].shape}"
    for op in graph.ops:
        _run_op(op, graph, values)
    return values | {name: _integers(data, graph.tensor(name).dtype.value) for name, data in graph.constant_outputs().items()}


def _integers(values: npt.ArrayLike, dtype: npt.DTypeLike) -> Stored:
    found: Stored = np.asarray(values, dtype)
    return found


def run_op(op: Op, graph: Graph, inputs: Mapping[str, Stored]) -> dict[str, Stored]:
    """The activation tensors that one operator writes, from those that it reads; inner tensors of a fused one included."""
    values: Values = dict(inputs)
    _run_op(op, graph, values)
    return {name: value for name, value in values.items() if name not in inputs}


def computed(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    """What an operator without a body makes of arrays in place of its inputs.

    Elementwise operators and moves take arrays of any shapes that fit each other, and moves any numbers.
    """
    return (_INTERPRETERS_16 if works_on_int16(op, graph) else _INTERPRETERS)[op.kind](op, graph, operands)


def _run_op(op: Op, graph: Graph, values: Values) -> None:
    if isinstance(op.attrs, FusedAttrs):
        for step in op.attrs.body:
            _run_op(step, graph, values)
        return
    operands = [_value(name, graph, values) for name in op.inputs]
    if op.kind in _RECURRENT:
        for name, value in zip(op.outputs, _RECURRENT[op.kind](op, graph, operands), strict=True):
            tensor = graph.tensor(name)
            values[name] = value.reshape(tensor.shape).astype(tensor.dtype.value)
        return
    result = computed(op, graph, operands)
    output = graph.tensor(op.output)
    assert result.size == output.num_elements, f"{op.label}: computed {result.shape}, declared {output.shape}"
    values[op.output] = result.reshape(output.shape).astype(output.dtype.value)


def _value(name: str, graph: Graph, values: Values) -> Array:
    tensor = graph.tensor(name)
    return tensor.constant() if tensor.is_constant else values[name]


def _clamp(values: Int64, low: int, high: int) -> Int64:
    return np.minimum(np.maximum(values, low), high)


def _centred(values: Array, tensor: Tensor) -> Int64:
    return values.astype(np.int64) - tensor.zero_point


# --- recurrent ------------------------------------------------------------------------------------------------------


def _lstm(op: Op, graph: Graph, operands: list[Array]) -> tuple[Int64, Int64, Int64]:
    """The hidden state behind each step, and hidden and cell state behind the last."""
    numbers = lstm_of(op, graph)
    hidden, cell = (state.astype(np.int64).reshape(-1) for state in operands[1:3])
    out = []

    def summed(sums: Sums, operand: Int64) -> Int64:
        acc = sums.weights.astype(np.int64) @ operand + sums.bias
        return fp.requantize(acc, sums.multiplier.multiplier, sums.multiplier.shift)

    def sigmoid(gate: Gate, step: Int64) -> Int64:
        return sigmoid_16(value(gate, step), GATE_BITS)

    def value(gate: Gate, step: Int64) -> Int64:
        found = _int16(summed(gate.hidden, hidden) + _int16(summed(gate.data, step)))
        if gate.peephole is not None:
            factor = gate.peephole.multiplier
            found = _int16(fp.requantize(gate.peephole.weights * cell, factor.multiplier, factor.shift) + found)
        return found if gate.norm is None else _int16(gate.norm.of(found))

    for step in operands[0].astype(np.int64).reshape(numbers.steps, numbers.c_in):
        given, forget, update, output = numbers.gates
        kept_share = sigmoid(forget, step)
        share = 32767 - kept_share if given is None else sigmoid(given, step)
        kept = fp.rounding_divide_by_pot(kept_share * cell, 15)
        added = share * tanh_16(value(update, step), GATE_BITS)
        cell = _int16(kept + fp.rounding_divide_by_pot(added, 15 + numbers.cell_bits))
        if numbers.cell_clip:
            cell = np.clip(cell, -numbers.cell_clip, numbers.cell_clip)
        product = sigmoid(output, step) * tanh_16(cell, numbers.cell_bits)
        scaled = fp.requantize(product, numbers.output.multiplier, numbers.output.shift)
        hidden = _clamp(scaled + numbers.output_zero_point, -128, 127)
        if numbers.projection is not None:
            hidden = _clamp(summed(numbers.projection.sums, hidden) + numbers.projection.zero_point, -128, 127)
            if numbers.projection.clip:
                hidden = np.clip(hidden, -numbers.projection.clip, numbers.projection.clip)
        out.append(hidden)
    return np.stack(out), hidden, cell


def _svdf(op: Op, graph: Graph, operands: list[Array]) -> tuple[Int64, Int64]:
    """The output, and the state behind it."""
    numbers = svdf_of(op, graph)
    acc = numbers.newest.weights.astype(np.int64) @ operands[0].astype(np.int64).reshape(-1) + numbers.newest.bias
    newest = _int16(fp.requantize(acc, numbers.newest.multiplier.multiplier, numbers.newest.multiplier.shift))
    memory = operands[1].astype(np.int64).reshape(numbers.taps.shape)
    state = np.concatenate([memory[:, 1:], newest[:, np.newaxis]], axis=1)
    total = wrapped_32((numbers.taps * state).reshape(len(numbers.bias), -1).sum(axis=1) + numbers.bias)
    scaled = fp.requantize(total, numbers.output.multiplier, numbers.output.shift)
    return _clamp(scaled + numbers.output_zero_point, -128, 127), state


_RECURRENT: Mapping[OpKind, Callable[[Op, Graph, list[Array]], tuple[Int64, ...]]] = {
    OpKind.UNIDIRECTIONAL_SEQUENCE_LSTM: _lstm,
    OpKind.SVDF: _svdf,
}


def _int16(values: Int64) -> Int64:
    return _clamp(values, -(1 << 15), (1 << 15) - 1)


# --- convolutions ---------------------------------------------------------------------------------------------------


def _windows(centred: Int64, window: Window) -> npt.NDArray[np.float64]:
    """[n, out_h, out_w, kernel_h, kernel_w, c] views of a centred NHWC map, padded with zeros."""
    pads = ((0, 0), (window.pad_top, window.pad_bottom), (window.pad_left, window.pad_right), (0, 0))
    padded = np.pad(centred, pads).astype(np.float64)
    out_h, out_w = window.output_hw(centred.shape[1], centred.shape[2])
    taps = np.empty((centred.shape[0], out_h, out_w, window.kernel_h, window.kernel_w, centred.shape[3]))
    for ky in range(window.kernel_h):
        for kx in range(window.kernel_w):
            taps[:, :, :, ky, kx] = _tap(padded, window, ky, kx, out_h, out_w)
    return taps


def _tap(padded: npt.NDArray[np.float64], window: Window, ky: int, kx: int, out_h: int, out_w: int) -> npt.NDArray[np.float64]:
    """[n, out_h, out_w, c]: for every output position the element under one kernel position."""
    y, x = ky * window.dilation_h, kx * window.dilation_w
    last_y, last_x = y + (out_h - 1) * window.stride_h + 1, x + (out_w - 1) * window.stride_w + 1
    return padded[:, y : last_y : window.stride_h, x : last_x : window.stride_w]


def _bias(operands: list[Array]) -> Int64:
    return operands[2].astype(np.int64) if len(operands) > 2 else np.zeros(1, np.int64)


def channel_factors(op: Op, graph: Graph) -> npt.NDArray[np.float64]:
    """The real factor of each output channel of a CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED."""
    data, weights, output = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1]), graph.tensor(op.output)
    assert weights.quantization is not None
    factors = [fp.convolution_factor(data.scale, scale, output.scale) for scale in weights.quantization.scales]
    num_channels = weights.shape[3 if op.kind is OpKind.DEPTHWISE_CONV_2D else 0]
    return np.array(factors * num_channels if len(factors) == 1 else factors)


def channel_multipliers(op: Op, graph: Graph) -> tuple[Int64, Int64]:
    """Multipliers and shifts of a CONV_2D or DEPTHWISE_CONV_2D, one for each output channel."""
    return _as_arrays([fp.quantize_multiplier(float(f)) for f in channel_factors(op, graph)])


def fully_connected_multipliers(op: Op, graph: Graph) -> tuple[Int64, Int64]:
    """The same of a FULLY_CONNECTED, for one rounding, exact with LiteRT's double arithmetic for every sum that can be.

    Up to 62 bits wide; most channels need 31. Raises `UnsupportedOperators` where a channel has none.
    """
    factors = channel_factors(op, graph)
    ends = zip(*_accumulator_bounds(op, graph), strict=True)
    found = [fp.fully_connected_multiplier(float(f), int(low), int(high)) for f, (low, high) in zip(factors, ends, strict=True)]
    if None in found:
        raise no_multiplier(op, [i for i, each in enumerate(found) if each is None], len(found), "integer")
    return _as_arrays([each for each in found if each is not None])


def no_multiplier(op: Op, channels: Sequence[int], count: int, what: str) -> UnsupportedOperators:
    """The error of a FULLY_CONNECTED of whose `count` channels some have no multiplier that rounds like LiteRT."""
    return UnsupportedOperators(
        [
            f"{op.label}: in {len(channels)} of {count} channels (the first is {channels[0]}) no {what} multiplier rounds like "
            "LiteRT (convert the layer as a 1x1 CONV_2D)"
        ]
    )


def _as_arrays(found: Sequence[fp.Multiplier]) -> tuple[Int64, Int64]:
    return np.array([m.multiplier for m in found], np.int64), np.array([m.shift for m in found], np.int64)


def _accumulator_bounds(op: Op, graph: Graph) -> tuple[Int64, Int64]:
    """The least and the largest accumulator of each output channel of a FULLY_CONNECTED."""
    weights = graph.tensor(op.inputs[1]).constant().astype(np.int64)
    bias = graph.tensor(op.inputs[2]).constant().astype(np.int64).reshape(-1) if len(op.inputs) > 2 else np.zeros(1, np.int64)
    low, high = (value - graph.tensor(op.inputs[0]).zero_point for value in (-128, 127))
    up, down = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    return up * low + down * high + bias, up * high + down * low + bias


def _conv_2d(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ConvAttrs)
    groups = conv_groups(op, graph)
    taps = _windows(_centred(operands[0], graph.tensor(op.inputs[0])), op.attrs.window)
    shares = zip(np.split(taps, groups, axis=5), np.split(operands[1].astype(np.float64), groups), strict=True)
    maps = [np.tensordot(share, weights, axes=((3, 4, 5), (1, 2, 3))) for share, weights in shares]
    acc = np.concatenate(maps, axis=3).astype(np.int64) + _bias(operands)
    return _scaled(acc, op, graph, op.attrs.activation_min, op.attrs.activation_max)


def _depthwise_conv_2d(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ConvAttrs)
    window, multiplier = op.attrs.window, op.attrs.depth_multiplier
    data = _centred(operands[0], graph.tensor(op.inputs[0]))
    out_h, out_w = window.output_hw(data.shape[1], data.shape[2])
    pads = ((0, 0), (window.pad_top, window.pad_bottom), (window.pad_left, window.pad_right), (0, 0))
    padded = np.pad(data, pads).astype(np.float64)
    weights = operands[1].reshape(window.kernel_h, window.kernel_w, data.shape[3], multiplier).astype(np.float64)
    acc = np.zeros((data.shape[0], out_h, out_w, data.shape[3], multiplier))
    for ky in range(window.kernel_h):
        for kx in range(window.kernel_w):
            acc += _tap(padded, window, ky, kx, out_h, out_w)[..., np.newaxis] * weights[ky, kx]
    maps = acc.reshape(*acc.shape[:3], -1).astype(np.int64) + _bias(operands)
    return _scaled(maps, op, graph, op.attrs.activation_min, op.attrs.activation_max)


def has_wide_sums(op: Op, graph: Graph) -> bool:
    """Whether LiteRT sums a convolution of int16 in int64: unless its bias is int32."""
    return works_on_int16(op, graph) and (len(op.inputs) < 3 or graph.tensor(op.inputs[2]).dtype is DType.INT64)


def _scaled(acc: Int64, op: Op, graph: Graph, low: int, high: int) -> Int64:
    multiplier, shift = channel_multipliers(op, graph)
    requantize = fp.requantize_64 if has_wide_sums(op, graph) else fp.requantize
    return _clamp(requantize(acc, multiplier, shift) + graph.tensor(op.output).zero_point, low, high)


def _fully_connected(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ClampAttrs)
    weights = operands[1].astype(np.float64)
    data = _centred(operands[0], graph.tensor(op.inputs[0])).reshape(-1, weights.shape[1]).astype(np.float64)
    acc = (data @ weights.T).astype(np.int64) + _bias(operands)
    scaled = fp.requantize_in_double(acc, channel_factors(op, graph)) + graph.tensor(op.output).zero_point
    return _clamp(scaled, op.attrs.activation_min, op.attrs.activation_max)


# --- elementwise ----------------------------------------------------------------------------------------------------


def _rescaled_pair(op: Op, graph: Graph, operands: list[Array], factors: fp.AddMultipliers) -> tuple[Int64, Int64]:
    """Both inputs of ADD, SUB and SQUARED_DIFFERENCE on their common scale."""
    left, right = (_centred(v, graph.tensor(n)) << factors.left_shift for v, n in zip(operands, op.inputs, strict=True))
    return (
        fp.requantize(left, factors.input1.multiplier, factors.input1.shift),
        fp.requantize(right, factors.input2.multiplier, factors.input2.shift),
    )


def _scales(op: Op, graph: Graph) -> tuple[float, float, float]:
    return graph.tensor(op.inputs[0]).scale, graph.tensor(op.inputs[1]).scale, graph.tensor(op.output).scale


def _add_or_sub(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ClampAttrs)
    if op.attrs.shifts is not None:
        left, right = (fp.rounding_divide_by_pot(v.astype(np.int64), s) for v, s in zip(operands, op.attrs.shifts, strict=True))
        shifted = left + right if op.kind is OpKind.ADD else left - right
        return _clamp(shifted, op.attrs.activation_min, op.attrs.activation_max)
    factors = fp.add_multipliers(*_scales(op, graph), left_shift=15 if works_on_int16(op, graph) else 20)
    left, right = _rescaled_pair(op, graph, operands, factors)
    total = left + right if op.kind is OpKind.ADD else left - right
    scaled = fp.requantize(total, factors.output.multiplier, factors.output.shift) + graph.tensor(op.output).zero_point
    return _clamp(scaled, op.attrs.activation_min, op.attrs.activation_max)


def _squared_difference(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    factors = fp.squared_difference_multipliers(*_scales(op, graph))
    left, right = _rescaled_pair(op, graph, operands, factors)
    scaled = fp.requantize((left - right) ** 2, factors.output.multiplier, factors.output.shift)
    return _clamp(scaled + graph.tensor(op.output).zero_point, -128, 127)


def _mul(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ClampAttrs)
    left, right = (_centred(v, graph.tensor(n)) for v, n in zip(operands, op.inputs, strict=True))
    factor = fp.mul_multiplier(*_scales(op, graph))
    scaled = fp.requantize(left * right, factor.multiplier, factor.shift) + graph.tensor(op.output).zero_point
    return _clamp(scaled, op.attrs.activation_min, op.attrs.activation_max)


def _maximum(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    return np.maximum(operands[0], operands[1]).astype(np.int64)


def _minimum(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    return np.minimum(operands[0], operands[1]).astype(np.int64)


def _table(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    return function_table(op, graph)[operands[0].astype(np.int64) + 128].astype(np.int64)


def _prelu(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    source, alpha, output = (graph.tensor(name) for name in (*op.inputs, op.output))
    values, slopes = _centred(operands[0], source), _centred(operands[1], alpha)
    above, below = fp.prelu_multipliers(source.scale, alpha.scale, output.scale)
    scaled = np.where(
        values >= 0,
        fp.requantize(values, above.multiplier, above.shift),
        fp.requantize(values * slopes, below.multiplier, below.shift),
    )
    return _clamp(scaled + output.zero_point, -128, 127)


def division_table(op: Op, graph: Graph) -> Int8:
    """int8[256]: what a DIV by a constant of one element makes of each stored value."""
    assert isinstance(op.attrs, ClampAttrs)
    source, divisor, output = (graph.tensor(name) for name in (*op.inputs, op.output))
    factor = fp.division_multiplier(*_scales(op, graph))
    by = int(divisor.constant().reshape(-1)[0]) - divisor.zero_point
    scaled = fp.quotients(np.arange(-128, 128) - source.zero_point, by, factor) + output.zero_point
    return _clamp(scaled, op.attrs.activation_min, op.attrs.activation_max).astype(np.int8)


def _div(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    return division_table(op, graph)[operands[0].astype(np.int64) + 128].astype(np.int64)


def _batch_matmul(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, MatMulAttrs)
    left, right = (_centred(v, graph.tensor(n)).astype(np.float64) for v, n in zip(operands, op.inputs, strict=True))
    left = left.swapaxes(-1, -2) if op.attrs.adj_x else left
    right = right.swapaxes(-1, -2) if op.attrs.adj_y else right
    factor = fp.matmul_multiplier(*_scales(op, graph))
    scaled = fp.requantize((left @ right).astype(np.int64), factor.multiplier, factor.shift)
    return _clamp(scaled + graph.tensor(op.output).zero_point, -128, 127)


def _sloped(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    found = slopes(op.kind.value, source, output, output.dtype.limits, op.parameters)
    return found.of(operands[0].astype(np.int64), source, output)


def _logistic_16(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    return logistic_16(operands[0].astype(np.int64), graph.tensor(op.inputs[0]).scale)


def _tanh_16(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    return tanh_16x8(operands[0].astype(np.int64), graph.tensor(op.inputs[0]).scale)


# --- reductions and pools -------------------------------------------------------------------------------------------


def _mean(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ReduceAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    acc = _centred(operands[0], source).sum(axis=op.attrs.axes, keepdims=op.attrs.keep_dims)
    factor = fp.mean_multiplier(source.scale, output.scale, source.num_elements // output.num_elements)
    return _clamp(fp.requantize(acc, factor.multiplier, factor.shift) + output.zero_point, *output.dtype.limits)


def _reduce_max(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ReduceAttrs)
    largest: Int64 = operands[0].astype(np.int64).max(axis=op.attrs.axes, keepdims=op.attrs.keep_dims)
    return largest


def _reduce_min(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ReduceAttrs)
    least: Int64 = operands[0].astype(np.int64).min(axis=op.attrs.axes, keepdims=op.attrs.keep_dims)
    return least


def _pool_windows(data: Array, window: Window, fill: int) -> Int64:
    """[n, out_h, out_w, kernel positions, c], padded with `fill`."""
    return _windows(data.astype(np.int64) - fill, window).reshape(
        data.shape[0], *window.output_hw(data.shape[1], data.shape[2]), -1, data.shape[3]
    ).astype(np.int64) + np.int64(fill)


def _average_pool_2d(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    """Sums of the stored values divided by the count of real positions, rounded half away from zero."""
    assert isinstance(op.attrs, PoolAttrs)
    total = _pool_windows(operands[0], op.attrs.window, 0).sum(axis=3)
    count = _pool_windows(np.ones_like(operands[0]), op.attrs.window, 0).sum(axis=3)
    rounded = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return _clamp(rounded, op.attrs.activation_min, op.attrs.activation_max)


def _max_pool_2d(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, PoolAttrs)
    least = graph.tensor(op.output).dtype.limits[0]
    largest = _pool_windows(operands[0], op.attrs.window, least).max(axis=3)
    return _clamp(largest, op.attrs.activation_min, op.attrs.activation_max)


def _softmax(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, SoftmaxAttrs)
    input_scale = graph.tensor(op.inputs[0]).scale
    exponential, total = fp.softmax_exponentials(operands[0].astype(np.int64), input_scale, op.attrs.beta)
    scale, shift = fp.softmax_reciprocal(total)
    return fp.softmax_output(exponential, scale, shift).astype(np.int64)


def _softmax_16(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, SoftmaxAttrs)
    return softmax_16(operands[0].astype(np.int64), graph.tensor(op.inputs[0]).scale, op.attrs.beta)


def _l2_normalization(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    """x over the root of its row's sum of squares; the scales do not matter."""
    values = _centred(operands[0], graph.tensor(op.inputs[0]))
    multiplier, shift = fp.inverse_sqrt(np.maximum((values**2).sum(axis=-1, keepdims=True), 1))
    return _clamp(fp.requantize(values, multiplier, shift + 7), -128, 127)


def _resize_bilinear(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    """Two neighbours along each axis by 1024ths, rounded half away from zero once."""
    assert isinstance(op.attrs, ResizeAttrs)
    attrs, data = op.attrs, operands[0].astype(np.int64)
    for axis in (1, 2):
        size, wanted = data.shape[axis], graph.tensor(op.output).shape[axis]
        below, above, share = fp.bilinear_places(size, wanted, attrs.align_corners, attrs.half_pixel_centers)
        share = share.reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        data = np.take(data, below, axis) * (1024 - share) + np.take(data, above, axis) * share
    return fp.rounding_divide_by_pot(data, 20)


# --- moves ----------------------------------------------------------------------------------------------------------


def _concatenation(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, ConcatAttrs)
    return np.concatenate(operands, axis=op.attrs.axis).astype(np.int64)


def _slice(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, SliceAttrs)
    counts = graph.tensor(op.output).shape
    indices = [b + s * np.arange(n) for b, s, n in zip(op.attrs.begin, op.attrs.strides, counts, strict=True)]
    return operands[0][np.ix_(*indices)].astype(np.int64)


def _gather(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, GatherAttrs)
    return np.take(operands[0], op.attrs.indices, axis=op.attrs.axis).astype(np.int64)


def _transpose(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, TransposeAttrs)
    return operands[0].transpose(op.attrs.permutation).astype(np.int64)


def _pad(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    assert isinstance(op.attrs, PadAttrs)
    widths = list(zip(op.attrs.before, op.attrs.after, strict=True))
    zero_point = graph.tensor(op.output).zero_point
    return np.pad(operands[0].astype(np.int64), widths, constant_values=zero_point)


def _reshape(op: Op, graph: Graph, operands: list[Array]) -> Int64:
    return operands[0].astype(np.int64)


_INTERPRETERS: Mapping[OpKind, Callable[[Op, Graph, list[Array]], Int64]] = {
    OpKind.CONV_2D: _conv_2d,
    OpKind.DEPTHWISE_CONV_2D: _depthwise_conv_2d,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _add_or_sub,
    OpKind.SUB: _add_or_sub,
    OpKind.MUL: _mul,
    OpKind.MAXIMUM: _maximum,
    OpKind.MINIMUM: _minimum,
    OpKind.PRELU: _prelu,
    OpKind.DIV: _div,
    OpKind.BATCH_MATMUL: _batch_matmul,
    OpKind.L2_NORMALIZATION: _l2_normalization,
    OpKind.RESIZE_BILINEAR: _resize_bilinear,
    OpKind.SQUARED_DIFFERENCE: _squared_difference,
    OpKind.MEAN: _mean,
    OpKind.REDUCE_MAX: _reduce_max,
    OpKind.REDUCE_MIN: _reduce_min,
    OpKind.AVERAGE_POOL_2D: _average_pool_2d,
    OpKind.MAX_POOL_2D: _max_pool_2d,
    OpKind.SOFTMAX: _softmax,
    OpKind.CONCATENATION: _concatenation,
    OpKind.SLICE: _slice,
    OpKind.STRIDED_SLICE: _slice,
    OpKind.GATHER: _gather,
    OpKind.TRANSPOSE: _transpose,
    OpKind.PAD: _pad,
    OpKind.RESHAPE: _reshape,
    OpKind.READ_VARIABLE: _reshape,
    OpKind.ASSIGN_VARIABLE: _reshape,
    **dict.fromkeys(TABLE_KINDS, _table),
}

_INTERPRETERS_16: Mapping[OpKind, Callable[[Op, Graph, list[Array]], Int64]] = {
    **{kind: _INTERPRETERS[kind] for kind in INT16_KINDS},
    **{OpKind(name): _sloped for name in SLOPED},
    OpKind.LOGISTIC: _logistic_16,
    OpKind.TANH: _tanh_16,
    OpKind.SOFTMAX: _softmax_16,
}
