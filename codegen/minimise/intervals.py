"""Which int8 values each channel of each tensor can take, by interval arithmetic over the exact requantization.

A channel is an index of a tensor's last axis. Every operator is monotone in each of its operands (a product: in each of the two,
so its bounds lie at corners), and so is every requantization: bounds of the operands give bounds of the result, rounded and
clamped like any other value. Sound, not sharp: operands are taken as independent of each other.

A variable's bounds hold what it has after a reset and what any inference assigns that began within them: a fixpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from .. import fixed_point as fp
from ..int8_functions import function_table
from ..ir import (
    TABLE_KINDS,
    ClampAttrs,
    ConcatAttrs,
    ConvAttrs,
    DType,
    GatherAttrs,
    Graph,
    Op,
    OpKind,
    PadAttrs,
    PoolAttrs,
    ReduceAttrs,
    SliceAttrs,
    Tensor,
    TransposeAttrs,
    Window,
    conv_groups,
)
from ..reference import channel_factors, channel_multipliers, computed
from .certificate import StateInterval

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

MOST_ELEMENTS = 1 << 22  # of an activation: a larger one fits no chip
MOST_CHANNELS = 1 << 20  # of all activations together
PLAIN_TURNS = 4  # over which a variable's bounds grow to what is assigned; then to what the type holds


@dataclass(frozen=True, eq=False)
class Bounds:
    """low <= stored value <= high, for each channel [channels], or of all channels together [1].

    accumulators  those before requantization, of a convolution or FULLY_CONNECTED, bias included
    """

    low: Int64
    high: Int64
    accumulators: tuple[Int64, Int64] | None = None

    def of(self, channels: int) -> tuple[Int64, Int64]:
        """Low and high of each of `channels`."""
        return np.broadcast_to(self.low, channels), np.broadcast_to(self.high, channels)

    def hull(self) -> Bounds:
        """One interval that holds those of all channels."""
        return Bounds(self.low.min(keepdims=True), self.high.max(keepdims=True))


def channels_of(tensor: Tensor) -> int:
    """The length of a tensor's last axis."""
    return tensor.shape[-1] if tensor.shape else 1


def is_analysable(graph: Graph) -> bool:
    """Whether a graph is small enough to be worth its analysis, which takes room for each channel and time for each element."""
    tensors = list(graph.activations())
    largest = max(tensor.num_elements for tensor in tensors)
    return largest <= MOST_ELEMENTS and sum(channels_of(tensor) for tensor in tensors) <= MOST_CHANNELS


def anything(tensor: Tensor) -> Bounds:
    """All that a tensor's type can hold."""
    limits = np.iinfo(tensor.dtype.value)
    return Bounds(np.array([limits.min], np.int64), np.array([limits.max], np.int64))


_KNOWN: WeakKeyDictionary[Graph, Mapping[str, Bounds]] = WeakKeyDictionary()


def graph_bounds(graph: Graph) -> Mapping[str, Bounds]:
    """The bounds of every activation of an analysable graph, for all inputs; of what this module does not know, anything.

    They are found once for each graph: each pass asks for them.
    """
    if graph not in _KNOWN:
        _KNOWN[graph] = _found_bounds(graph)
    return _KNOWN[graph]


def _found_bounds(graph: Graph) -> dict[str, Bounds]:
    state = {variable.before: _of_rows(variable.start, graph.tensor(variable.before)) for variable in graph.variables}
    turn = 0
    while True:
        found = _bounds_within(state, graph)
        grown = {v.before: _grown(state[v.before], found[v.after], graph.tensor(v.before), turn) for v in graph.variables}
        if all(grown[name] is bounds for name, bounds in state.items()):
            return found
        state, turn = grown, turn + 1


def _grown(bounds: Bounds, assigned: Bounds, tensor: Tensor, turn: int) -> Bounds:
    """Bounds that hold what is assigned too: the same where they do."""
    low, high = assigned.of(len(bounds.low))
    below, above = low < bounds.low, high > bounds.high
    if not below.any() and not above.any():
        return bounds
    most = anything(tensor)
    lowest, highest = most.of(len(bounds.low)) if turn >= PLAIN_TURNS else (low, high)
    if turn >= 2 * PLAIN_TURNS:
        return Bounds(lowest, highest)
    return Bounds(np.where(below, lowest, bounds.low), np.where(above, highest, bounds.high))


def _bounds_within(state: Mapping[str, Bounds], graph: Graph) -> dict[str, Bounds]:
    """The bounds of one inference that begins with variables within theirs."""
    found = {name: anything(graph.tensor(name)) for name in graph.inputs} | dict(state)
    for op in graph.ops:
        if op.kind not in _RULES or not works_on_int8(op, graph):
            found |= {name: anything(graph.tensor(name)) for name in op.outputs}
        else:
            found[op.output] = bounds_of(op, graph, found)
    return found


def bounds_of(op: Op, graph: Graph, found: Mapping[str, Bounds]) -> Bounds:
    """The bounds of an operator's output from those of its inputs."""
    operands = [found[n] if n in found else _of_constant(graph.tensor(n)) for n in data_operands(op)]
    return _RULES[op.kind](op, graph, operands)


def state_intervals(graph: Graph, bounds: Mapping[str, Bounds]) -> tuple[StateInterval, ...]:
    """The bounds of the variables, for a certificate."""
    intervals = ((v.before, bounds[v.before].of(channels_of(graph.tensor(v.before)))) for v in graph.variables)
    return tuple(StateInterval(name, tuple(low.tolist()), tuple(high.tolist())) for name, (low, high) in intervals)


def works_on_int8(op: Op, graph: Graph) -> bool:
    """Whether an operator reads and writes int8 activations alone."""
    return all(graph.tensor(name).dtype is DType.INT8 for name in (*data_operands(op), *op.outputs))


def data_operands(op: Op) -> tuple[str, ...]:
    """An operator's inputs without weights and bias."""
    return op.inputs[:1] if op.kind in _WEIGHTED else op.inputs


def _of_constant(tensor: Tensor) -> Bounds:
    return _of_rows(tensor.constant(), tensor)


def _of_rows(values: npt.NDArray[np.generic], tensor: Tensor) -> Bounds:
    rows = values.astype(np.int64).reshape(-1, channels_of(tensor))
    return Bounds(rows.min(axis=0), rows.max(axis=0))


def _clamped(low: Int64, high: Int64, attrs: ClampAttrs | ConvAttrs | PoolAttrs) -> Bounds:
    lowest, highest = attrs.activation_min, attrs.activation_max
    return Bounds(np.clip(low, lowest, highest), np.clip(high, lowest, highest))


# --- convolutions ---------------------------------------------------------------------------------------------------


def taps_on_map(size: int, window: Window, axis: int) -> npt.NDArray[np.bool_]:
    """[kinds of positions, kernel]: which taps lie on the map, for every kind of output position along height (0) or width (1).

    A tap leaves the padding at one position and enters it again at another: between such positions nothing changes.
    """
    if axis == 0:
        kernel, stride, dilation, before = window.kernel_h, window.stride_h, window.dilation_h, window.pad_top
    else:
        kernel, stride, dilation, before = window.kernel_w, window.stride_w, window.dilation_w, window.pad_left
    count = window.output_hw(size, size)[axis]
    taps = np.arange(kernel, dtype=np.int64) * dilation - before
    enters, leaves = -(taps // stride), (size - 1 - taps) // stride + 1
    positions = np.unique(np.clip(np.concatenate([[0], enters, leaves]), 0, count - 1))
    places = positions[:, np.newaxis] * stride + taps
    return np.unique((places >= 0) & (places < size), axis=0)


def _convolution(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    """Each tap on the map adds between its smallest and its largest product, each in the padding nothing."""
    assert isinstance(op.attrs, ConvAttrs)
    source, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1]).constant().astype(np.float64)
    low, high = ((bound - source.zero_point).astype(np.float64) for bound in operands[0].of(source.shape[3]))
    least, most = np.maximum(weights, 0), np.minimum(weights, 0)  # the parts of the weights that meet low and high
    if op.kind is OpKind.DEPTHWISE_CONV_2D:
        low, high = (np.repeat(bound, op.attrs.depth_multiplier) for bound in (low, high))
        smallest, largest = (least * low + most * high)[0], (least * high + most * low)[0]
    else:
        groups = conv_groups(op, graph)
        lows, highs, positive, negative = (np.split(values, groups) for values in (low, high, least, most))
        products = [(p @ a + n @ b, p @ b + n @ a) for a, b, p, n in zip(lows, highs, positive, negative, strict=True)]
        smallest, largest = (np.moveaxis(np.concatenate(parts), 0, -1) for parts in zip(*products, strict=True))
    rows = taps_on_map(source.shape[1], op.attrs.window, 0).astype(np.float64)
    columns = taps_on_map(source.shape[2], op.attrs.window, 1).astype(np.float64)
    sums = (np.einsum("ry,sx,yxo->rso", rows, columns, part, optimize=True) for part in (smallest, largest))
    acc_low, acc_high = (part.reshape(-1, part.shape[-1]).astype(np.int64) + bias_of(op, graph) for part in sums)
    multiplier, shift = channel_multipliers(op, graph)
    zero_point = graph.tensor(op.output).zero_point
    stored = [fp.requantize(acc, multiplier, shift) + zero_point for acc in (acc_low, acc_high)]
    bounds = _clamped(stored[0].min(axis=0), stored[1].max(axis=0), op.attrs)
    return Bounds(bounds.low, bounds.high, (acc_low.min(axis=0), acc_high.max(axis=0)))


def bias_of(op: Op, graph: Graph) -> Int64:
    """The bias of a convolution or FULLY_CONNECTED, flat; zeros where it has none."""
    if len(op.inputs) > 2:
        return graph.tensor(op.inputs[2]).constant().astype(np.int64).reshape(-1)
    return np.zeros(channels_of(graph.tensor(op.output)), np.int64)


def _fully_connected(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    assert isinstance(op.attrs, ClampAttrs)
    source, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1]).constant().astype(np.float64)
    channels = channels_of(source)
    bounds = operands[0] if weights.shape[1] % channels == 0 else operands[0].hull()
    repeats = weights.shape[1] // len(bounds.low)
    low, high = ((np.tile(bound, repeats) - source.zero_point).astype(np.float64) for bound in (bounds.low, bounds.high))
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    bias, factors = bias_of(op, graph), channel_factors(op, graph)
    acc = [part.astype(np.int64) + bias for part in (positive @ low + negative @ high, positive @ high + negative @ low)]
    stored = [fp.requantize_in_double(part, factors) + graph.tensor(op.output).zero_point for part in acc]
    clamped = _clamped(stored[0], stored[1], op.attrs)
    return Bounds(clamped.low, clamped.high, (acc[0], acc[1]))


# --- elementwise ----------------------------------------------------------------------------------------------------


def _elementwise(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    """The smallest and the largest result at the corners of the operands' intervals."""
    corners = [
        computed(op, graph, [left, right])
        for left, right in product((operands[0].low, operands[0].high), (operands[1].low, operands[1].high))
    ]
    return Bounds(np.minimum.reduce(corners), np.maximum.reduce(corners))


def _squared_difference(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    """The largest square lies at a corner; the smallest result is that of equal values, unless each value is the only one."""
    corners = _elementwise(op, graph, operands)
    single = (operands[0].low == operands[0].high) & (operands[1].low == operands[1].high)
    return Bounds(np.where(single, corners.low, np.minimum(graph.tensor(op.output).zero_point, corners.low)), corners.high)


def _activation(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    """The smallest and the largest entry of the table over the interval, whatever the function's shape."""
    table = function_table(op, graph).astype(np.int64)
    intervals, which = np.unique(np.stack([operands[0].low, operands[0].high]), axis=1, return_inverse=True)
    entries = [table[low + 128 : high + 129] for low, high in intervals.T]
    low, high = np.array([part.min() for part in entries]), np.array([part.max() for part in entries])
    return Bounds(low[which.reshape(-1)], high[which.reshape(-1)])


# --- reductions and pools -------------------------------------------------------------------------------------------


def _mean(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    assert isinstance(op.attrs, ReduceAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    bounds, count = _reduced(op, graph, operands[0]), source.num_elements // output.num_elements
    factor = fp.mean_multiplier(source.scale, output.scale, count)
    acc = [(bound - source.zero_point) * count for bound in (bounds.low, bounds.high)]
    low, high = (fp.requantize(part, factor.multiplier, factor.shift) + output.zero_point for part in acc)
    return Bounds(np.clip(low, -128, 127), np.clip(high, -128, 127))


def _reduced(op: Op, graph: Graph, bounds: Bounds) -> Bounds:
    """Channels stay told apart where the reduction leaves them alone."""
    assert isinstance(op.attrs, ReduceAttrs)
    return bounds.hull() if len(graph.tensor(op.inputs[0]).shape) - 1 in op.attrs.axes else bounds


def _reduce_max(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    return _reduced(op, graph, operands[0])


def _pool(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    """A mean or a maximum of values in an interval is in it; padded positions do not count."""
    assert isinstance(op.attrs, PoolAttrs)
    return _clamped(operands[0].low, operands[0].high, op.attrs)


# --- moves ----------------------------------------------------------------------------------------------------------


def _concatenation(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    assert isinstance(op.attrs, ConcatAttrs)
    tensors = [graph.tensor(name) for name in op.inputs]
    if op.attrs.axis == len(tensors[0].shape) - 1:
        each = [bounds.of(channels_of(tensor)) for bounds, tensor in zip(operands, tensors, strict=True)]
        return Bounds(np.concatenate([low for low, _ in each]), np.concatenate([high for _, high in each]))
    lows, highs = [bounds.low for bounds in operands], [bounds.high for bounds in operands]
    low, high = lows[0], highs[0]
    for other_low, other_high in zip(lows[1:], highs[1:], strict=True):
        low, high = np.minimum(low, other_low), np.maximum(high, other_high)
    return Bounds(low, high)


def _assign(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    return Bounds(operands[0].low, operands[0].high)


def _slice(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    assert isinstance(op.attrs, SliceAttrs)
    if len(operands[0].low) == 1:
        return operands[0]
    places = op.attrs.begin[-1] + op.attrs.strides[-1] * np.arange(channels_of(graph.tensor(op.output)))
    return Bounds(operands[0].low[places], operands[0].high[places])


def _gather(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    assert isinstance(op.attrs, GatherAttrs)
    if len(operands[0].low) == 1 or op.attrs.axis != len(graph.tensor(op.inputs[0]).shape) - 1:
        return operands[0]
    places = np.array(op.attrs.indices, np.int64)
    return Bounds(operands[0].low[places], operands[0].high[places])


def _transpose(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    assert isinstance(op.attrs, TransposeAttrs)
    keeps_channels = op.attrs.permutation[-1:] == (len(op.attrs.permutation) - 1,)
    return operands[0] if keeps_channels else operands[0].hull()


def _pad(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    assert isinstance(op.attrs, PadAttrs)
    if not any((*op.attrs.before, *op.attrs.after)):
        return operands[0]
    bounds = operands[0].hull() if any((op.attrs.before[-1], op.attrs.after[-1])) else operands[0]
    fill = graph.tensor(op.output).zero_point
    return Bounds(np.minimum(bounds.low, fill), np.maximum(bounds.high, fill))


def _reshape(op: Op, graph: Graph, operands: list[Bounds]) -> Bounds:
    """Element i of both is the same: where one's channels divide the other's, channel c of the fewer is c, c + fewer, ..."""
    before, after = channels_of(graph.tensor(op.inputs[0])), channels_of(graph.tensor(op.output))
    bounds = operands[0]
    if len(bounds.low) == 1:
        return bounds
    if after % before == 0:
        return Bounds(np.tile(bounds.low, after // before), np.tile(bounds.high, after // before))
    if before % after == 0:
        return Bounds(bounds.low.reshape(-1, after).min(axis=0), bounds.high.reshape(-1, after).max(axis=0))
    return bounds.hull()


_WEIGHTED = frozenset({OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED})

_RULES: Mapping[OpKind, Callable[[Op, Graph, list[Bounds]], Bounds]] = {
    OpKind.CONV_2D: _convolution,
    OpKind.DEPTHWISE_CONV_2D: _convolution,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _elementwise,
    OpKind.SUB: _elementwise,
    OpKind.MUL: _elementwise,
    OpKind.MAXIMUM: _elementwise,
    OpKind.MINIMUM: _elementwise,
    OpKind.SQUARED_DIFFERENCE: _squared_difference,
    OpKind.MEAN: _mean,
    OpKind.REDUCE_MAX: _reduce_max,
    OpKind.REDUCE_MIN: _reduce_max,
    OpKind.AVERAGE_POOL_2D: _pool,
    OpKind.MAX_POOL_2D: _pool,
    OpKind.ASSIGN_VARIABLE: _assign,
    OpKind.CONCATENATION: _concatenation,
    OpKind.SLICE: _slice,
    OpKind.STRIDED_SLICE: _slice,
    OpKind.GATHER: _gather,
    OpKind.TRANSPOSE: _transpose,
    OpKind.PAD: _pad,
    OpKind.RESHAPE: _reshape,
    **dict.fromkeys(TABLE_KINDS, _activation),
}
