"""The contract of a minimised graph: what must hold for it to give the outputs of the graph that was read.

Asked after the removal and sharing nothing with it but the arithmetic: bounds are found again, position by position and value by
value, every removed channel must be a constant by them or be read by nobody, every bias must have grown by exactly what the
folded constants add at each position of the output, and what moves values must move the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import numpy.typing as npt

from .. import fixed_point as fp
from ..ir import TABLE_KINDS, ClampAttrs, ConvAttrs, DType, Graph, Op, OpKind, PoolAttrs, ReduceAttrs, Tensor, Window
from ..reference import channel_factors, computed
from ..verify_graph import GraphError
from .certificate import Certificate

Array = npt.NDArray[np.generic]
Int64 = npt.NDArray[np.int64]
Limits = tuple[Int64, Int64]  # of each channel

ELEMENTWISE = (OpKind.ADD, OpKind.SUB, OpKind.MUL, OpKind.MAXIMUM, OpKind.MINIMUM, OpKind.SQUARED_DIFFERENCE)
_POOLS = (OpKind.AVERAGE_POOL_2D, OpKind.MAX_POOL_2D)
_REDUCTIONS = (OpKind.MEAN, OpKind.REDUCE_MAX, OpKind.REDUCE_MIN)
_DENSE = (OpKind.CONV_2D, OpKind.FULLY_CONNECTED)
MOVES = (
    OpKind.RESHAPE, OpKind.CONCATENATION, OpKind.SLICE, OpKind.STRIDED_SLICE, OpKind.GATHER, OpKind.TRANSPOSE, OpKind.PAD,
)  # fmt: skip
NOTHING = Certificate()
MOVED_FROM = 1000  # numbers of elements, none of which is a zero point


def require_contract(source: Graph, graph: Graph, certificate: Certificate) -> None:
    """Raise `GraphError` with the first clause that a graph breaks which is to be `source` without what a certificate removes."""
    _Contract(source, graph, certificate).require()


class _Contract:
    """Everything that the clauses ask of the two graphs."""

    def __init__(self, source: Graph, graph: Graph, certificate: Certificate):
        self._source, self._graph, self._certificate = source, graph, certificate
        self._limits = limits(source, certificate)
        self._equal = {entry.name: np.array(entry.first, np.int64) for entry in certificate.equal}

    def require(self) -> None:
        source, graph = self._source, self._graph
        _hold(graph.inputs == source.inputs and graph.outputs == source.outputs, "inputs and outputs must stay")
        for entry in self._certificate.tensors:
            low, high = self._limits[entry.name]
            for channel, value in entry.constants.items():
                found = f"{low[channel]}..{high[channel]}"
                _hold(low[channel] == high[channel] == value, f"{entry.name}[{channel}] is {found}, not always {value}")
            for channel, other in entry.copies.items():
                is_copy = self._first(entry.name)[channel] == self._first(entry.name)[other] and other in entry.kept
                _hold(is_copy, f"{entry.name}[{channel}] is no copy of {other}, which stays")
        self._require_equal_channels()
        computed_names = {tensor.name for tensor in graph.activations()}
        for tensor in source.activations():
            count = len(self._kept(tensor.name))
            if tensor.name in computed_names:
                narrow = graph.tensor(tensor.name)
                same = (narrow.dtype, narrow.quantization) == (tensor.dtype, tensor.quantization)
                shape = (*tensor.shape[:-1], count) if tensor.shape else ()
                _hold(same and narrow.shape == shape, f"{tensor.name} must be {list(shape)} and else as it was read")
                whole = tensor.name not in (*source.inputs, *source.outputs) or narrow.shape == tensor.shape
                _hold(whole, f"{tensor.name} is an input or output and must be whole")
            else:
                _hold(count == 0 or not tensor.shape, f"{tensor.name} keeps {count} channels and is not computed")
        self._require_variables()
        originals = {op.output: op for op in source.ops}
        for op in graph.ops:
            _hold(op.output in originals, f"{op.label} was not read")
            self._require_op(op, originals[op.output])

    def _require_variables(self) -> None:
        """Those that stay have the same channels before and after an inference, and these channels' start values."""
        found = {variable.before: variable for variable in self._graph.variables}
        for variable in self._source.variables:
            name, rows = variable.before, self._kept(variable.before)
            _hold(
                np.array_equal(rows, self._kept(variable.after)), f"variable {name}: its channels must be those of its next value"
            )
            if len(rows):
                start = variable.start[..., rows] if variable.start.shape else variable.start
                same = name in found and found[name].after == variable.after and np.array_equal(found[name].start, start)
                _hold(same, f"variable {name}: its start and its next value must stay")
        _hold(set(found) <= {variable.before for variable in self._source.variables}, "a variable was not read")

    def _kept(self, name: str) -> Int64:
        entry = self._certificate.by_name.get(name)
        return np.arange(_channels(self._source.tensor(name))) if entry is None else np.array(entry.kept, np.int64)

    def _is_whole(self, name: str) -> bool:
        return name not in self._certificate.by_name

    def _require_op(self, op: Op, original: Op) -> None:
        _hold(op.kind is original.kind and op.outputs == original.outputs, f"{op.label} was {original.label}")
        if op == original and all(self._is_whole(name) for name in (*op.inputs, *op.outputs)):
            return
        if op.kind in _DENSE:
            self._require_dense(op, original)
        elif op.kind is OpKind.DEPTHWISE_CONV_2D:
            self._require_depthwise(op, original)
        elif op.kind in MOVES:
            self._require_moves(op, original)
        else:
            _hold(op.attrs == original.attrs, f"{op.label}: its attributes must stay")
            if op.kind in ELEMENTWISE:
                self._require_elementwise(op, original)
            else:
                same = op.inputs == original.inputs and np.array_equal(self._kept(op.inputs[0]), self._kept(op.output))
                apart = op.kind in (*TABLE_KINDS, *_POOLS, OpKind.ASSIGN_VARIABLE) or self._keeps_channels_apart(op)
                _hold(same and apart, f"{op.label}: a channel of its output must be of the same one of its input")

    def _keeps_channels_apart(self, op: Op) -> bool:
        last = len(self._source.tensor(op.inputs[0]).shape) - 1
        return op.kind in _REDUCTIONS and isinstance(op.attrs, ReduceAttrs) and last not in op.attrs.axes

    def _require_dense(self, op: Op, original: Op) -> None:
        """Each row makes of every input what it made as read, or it is the bias alone, of an output that is constant.

        The weights that went from channels that change are 0 over all that are equal, those of constants are in the bias.
        """
        data = self._source.tensor(original.inputs[0])
        rows, columns = self._kept(op.output), self._kept(data.name)
        _hold(op.inputs[0] == original.inputs[0] and op.attrs == original.attrs, f"{op.label} must read the same as before")
        factors = np.array_equal(channel_factors(op, self._graph), channel_factors(original, self._source)[rows])
        _hold(factors, f"{op.label}: its scales must be those of its channels")
        before = self._weights(original, self._source, data.shape[-1])[rows]
        after = self._weights(op, self._graph, len(columns))
        less = before.copy()
        less[:, :, columns] -= after
        low, high = self._limits[data.name]
        constant = low == high
        changes = self._merged(less[:, :, ~constant], self._first(data.name)[~constant]).any(axis=(1, 2))
        bias = _bias(op, self._graph)
        grown = bias - _bias(original, self._source)[rows]
        added = np.einsum("otc,c->ot", less[:, :, constant], (low - data.zero_point)[constant])
        folds = np.ones(len(rows), np.bool_)
        for taps in self._positions(original):
            folds &= added[:, taps].sum(axis=1) == grown
        as_read = ~changes & folds
        low, high = (limit[rows] for limit in self._limits[op.output])
        alone = requantized(bias, op, self._graph)
        fixed = (after == 0).all(axis=(1, 2)) & (low == high) & (alone == low)
        wrong = np.flatnonzero(~(as_read | fixed))
        _hold(not wrong.size, f"{op.label}: channel {rows[wrong[:1]]} is not what was read with its constants folded")

    def _merged(self, weights: Int64, first: Int64) -> Int64:
        """Weights [c_out, taps, channels], added up over channels that are equal."""
        numbers, places = np.unique(first, return_inverse=True)
        if len(numbers) == len(first):
            return weights
        merged: Int64 = weights @ np.eye(len(numbers), dtype=np.int64)[places]
        return merged

    def _first(self, name: str) -> Int64:
        """Of each channel the first that is equal to it, as certified."""
        own = np.arange(_channels(self._source.tensor(name)))
        return self._equal.get(name, own)

    def _require_equal_channels(self) -> None:
        """Each channel that is to be equal to another is made like it, of channels that are equal."""
        writers = {name: op for op in self._source.ops for name in op.outputs}
        variables = {variable.before: variable for variable in self._source.variables}
        for name, first in self._equal.items():
            low, high = self._limits[name]
            own = np.arange(len(low))
            _hold(
                len(first) == len(own) and bool((first[first] == first).all()),
                f"{name}: channels equal to one that is not its own first",
            )
            copies = np.flatnonzero((first != own) & ~((low == high) & (low[first] == high[first]) & (low == low[first])))
            if not copies.size:
                continue
            if name in variables:
                after, start = self._first(variables[name].after), variables[name].start
                alike = np.array_equal(start[..., copies], start[..., first[copies]]) and _same(after, copies, first)
            else:
                alike = name in writers and self._makes_equal(writers[name], copies, first)
            _hold(alike, f"{name}: channels {copies.tolist()} need not be equal to {first[copies].tolist()}")

    def _makes_equal(self, op: Op, copies: Int64, first: Int64) -> bool:
        """Whether an operator makes channels equal to their first."""
        source, inputs = self._source, [name for name in op.inputs if not self._source.tensor(name).is_constant]
        if op.kind in _DENSE or op.kind is OpKind.DEPTHWISE_CONV_2D:
            factors, bias = channel_factors(op, source), _bias(op, source)
            if not (_same(factors, copies, first) and _same(bias, copies, first)):
                return False
            if op.kind is OpKind.DEPTHWISE_CONV_2D:
                assert isinstance(op.attrs, ConvAttrs)
                of_input = np.repeat(self._first(op.inputs[0]), op.attrs.depth_multiplier)
                weights = source.tensor(op.inputs[1]).constant()
                return _same(of_input, copies, first) and np.array_equal(weights[..., copies], weights[..., first[copies]])
            channels = source.tensor(op.inputs[0]).shape[-1]
            weights = self._weights(op, source, channels)
            return not self._merged(weights[copies] - weights[first[copies]], self._first(op.inputs[0])).any()
        if op.kind in ELEMENTWISE:
            return all(self._operand_is_equal(name, len(first), copies, first) for name in op.inputs)
        if op.kind in MOVES:
            numbers: list[Array] = []
            begin = MOVED_FROM
            for name in op.inputs:
                tensor = source.tensor(name)
                each = np.arange(begin, begin + tensor.num_elements).reshape(tensor.shape)
                begin += tensor.num_elements
                numbers.append(each[..., self._first(name)] if tensor.shape else each)
            moved = computed(op, source, numbers).reshape(source.tensor(op.output).shape)
            return np.array_equal(moved[..., copies], moved[..., first[copies]])
        apart = op.kind in (*TABLE_KINDS, *_POOLS, OpKind.ASSIGN_VARIABLE) or self._keeps_channels_apart(op)
        return apart and len(inputs) == 1 and _same(self._first(inputs[0]), copies, first)

    def _operand_is_equal(self, name: str, channels: int, copies: Int64, first: Int64) -> bool:
        tensor = self._source.tensor(name)
        if tensor.shape[-1:] != (channels,):
            return _channels(tensor) == 1
        if tensor.is_constant:
            return np.array_equal(tensor.constant()[..., copies], tensor.constant()[..., first[copies]])
        return _same(self._first(name), copies, first)

    def _weights(self, op: Op, graph: Graph, channels: int) -> Int64:
        """[c_out, taps, c_in], those of each group at its place."""
        weights = graph.tensor(op.inputs[1]).constant().astype(np.int64)
        if op.kind is OpKind.FULLY_CONNECTED or weights.shape[3] == channels:
            return weights.reshape(len(weights), -1, channels)
        share, each = weights.shape[3], len(weights) * weights.shape[3] // channels
        full = np.zeros((*weights.shape[:3], channels), np.int64)
        for row, taps in enumerate(weights):
            begin = row // each * share
            full[row, :, :, begin : begin + share] = taps
        return full.reshape(len(weights), -1, channels)

    def _positions(self, op: Op) -> list[Int64]:
        """For each kind of position of the output: the taps that lie on the map."""
        if not isinstance(op.attrs, ConvAttrs):
            _, *shape = self._source.tensor(op.inputs[1]).shape
            return [np.arange(shape[0] // self._source.tensor(op.inputs[0]).shape[-1])]
        _, height, width, _ = self._source.tensor(op.inputs[0]).shape
        window = op.attrs.window
        places = product(positions(height, window, 0), positions(width, window, 1))
        return [np.array([y * window.kernel_w + x for y in rows for x in columns], np.int64) for rows, columns in places]

    def _require_depthwise(self, op: Op, original: Op) -> None:
        assert isinstance(original.attrs, ConvAttrs)
        heads, rows = original.attrs.depth_multiplier, self._kept(op.output)
        wanted = (self._kept(op.inputs[0])[:, np.newaxis] * heads + np.arange(heads)).reshape(-1)
        same = op.inputs[0] == original.inputs[0] and op.attrs == original.attrs and np.array_equal(rows, wanted)
        _hold(same, f"{op.label}: all filters of the channels that stay must stay")
        factors = np.array_equal(channel_factors(op, self._graph), channel_factors(original, self._source)[rows])
        weights = self._source.tensor(original.inputs[1]).constant()[..., rows]
        same = np.array_equal(self._graph.tensor(op.inputs[1]).constant(), weights) and factors
        same = same and np.array_equal(_bias(op, self._graph), _bias(original, self._source)[rows])
        _hold(same, f"{op.label}: weights, bias and scales must be those of its channels")

    def _require_elementwise(self, op: Op, original: Op) -> None:
        rows, channels = self._kept(op.output), self._source.tensor(op.output).shape[-1]
        for name, before in zip(op.inputs, original.inputs, strict=True):
            tensor, read = self._graph.tensor(name), self._source.tensor(before)
            is_wide = read.shape[-1:] == (channels,)
            if read.is_constant:
                wanted = read.constant()[..., rows] if is_wide else read.constant()
                same = np.array_equal(tensor.constant(), wanted) and tensor.quantization == read.quantization
            else:
                same = name == before and (np.array_equal(self._kept(name), rows) if is_wide else self._is_whole(name))
            _hold(same, f"{op.label}: {before} must have the channels of the result")

    def _require_moves(self, op: Op, original: Op) -> None:
        """Elements that are numbered come to the same places."""
        missing = [name for name in original.inputs if name not in op.inputs]
        _hold(not any(len(self._kept(name)) for name in missing), f"{op.label}: it must read what stays")
        _hold(list(op.inputs) == [name for name in original.inputs if name not in missing], f"{op.label}: its inputs' order")
        first = MOVED_FROM
        before: list[Array] = []
        after: list[Array] = []
        for name in original.inputs:
            tensor = self._source.tensor(name)
            numbers = np.arange(first, first + tensor.num_elements).reshape(tensor.shape)
            first += tensor.num_elements
            before.append(numbers)
            if name in op.inputs:
                after.append(numbers[..., self._kept(name)] if tensor.shape else numbers)
        output = self._source.tensor(op.output)
        wanted = computed(original, self._source, before).reshape(output.shape)
        wanted = wanted[..., self._kept(op.output)] if output.shape else wanted
        found = computed(op, self._graph, after).reshape(self._graph.tensor(op.output).shape)
        _hold(np.array_equal(wanted, found), f"{op.label}: it must move the elements that it moved")


def _hold(holds: bool, broken: str) -> None:
    if not holds:
        raise GraphError(f"minimisation: {broken}")


def _same(values: Array, channels: Int64, first: Int64) -> bool:
    """Whether the value of each of some channels is that of its first."""
    return np.array_equal(values[channels], values[first[channels]])


def _bias(op: Op, graph: Graph) -> Int64:
    if len(op.inputs) > 2:
        return graph.tensor(op.inputs[2]).constant().astype(np.int64).reshape(-1)
    return np.zeros(_channels(graph.tensor(op.output)), np.int64)


def _channels(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 1


def positions(size: int, window: Window, axis: int) -> set[tuple[int, ...]]:
    """The sets of taps that lie on the map, for all positions of the output along height (0) or width (1)."""
    kernel, stride = (window.kernel_h, window.stride_h) if axis == 0 else (window.kernel_w, window.stride_w)
    dilation, before = (window.dilation_h, window.pad_top) if axis == 0 else (window.dilation_w, window.pad_left)
    found = set()
    for position in range(window.output_hw(size, size)[axis]):
        places = (position * stride - before + tap * dilation for tap in range(kernel))
        found.add(tuple(tap for tap, place in enumerate(places) if 0 <= place < size))
    return found


def requantized(sums: Int64, op: Op, graph: Graph) -> Int64:
    """What a convolution or FULLY_CONNECTED stores of sums [..., c_out]."""
    assert isinstance(op.attrs, ConvAttrs | ClampAttrs)
    factors = channel_factors(op, graph)
    if op.kind is OpKind.FULLY_CONNECTED:
        scaled = fp.requantize_in_double(sums, factors)
    else:
        multipliers = [fp.quantize_multiplier(float(factor)) for factor in factors]
        scaled = fp.requantize(sums, *(np.array([getattr(m, part) for m in multipliers]) for part in ("multiplier", "shift")))
    return np.clip(scaled + graph.tensor(op.output).zero_point, op.attrs.activation_min, op.attrs.activation_max)


# --- bounds, found again --------------------------------------------------------------------------------------------


def limits(source: Graph, certificate: Certificate) -> dict[str, Limits]:
    """Between which values each channel of each activation lies; every pair of values is tried of channels that are certified.

    Raises `GraphError` where the certified intervals of the variables do not hold their start values or what an inference leaves.
    """
    found: dict[str, Limits] = {name: _anything(name, source) for name in source.given}
    for interval in certificate.state:
        _hold(interval.name in {variable.before for variable in source.variables}, f"{interval.name} is no variable")
        found[interval.name] = np.array(interval.low, np.int64), np.array(interval.high, np.int64)
    for op in source.ops:
        known = all(source.tensor(n).dtype is DType.INT8 for n in (op.inputs[0], *op.outputs))
        for name in op.outputs:
            found[name] = _anything(name, source)
        if known:
            low, high = limits_of(op, source, found, certificate)
            found[op.output] = low.astype(np.int64), high.astype(np.int64)
    for variable in source.variables:
        low, high = found[variable.before]
        channels = _channels(source.tensor(variable.before))
        reached = (variable.start.astype(np.int64).reshape(-1, channels), *found[variable.after])
        holds = low.shape == high.shape == (channels,)
        holds = holds and all((low <= values).all() and (values <= high).all() for values in reached)
        _hold(holds, f"variable {variable.before} leaves the interval that is certified")
    return found


def _anything(name: str, source: Graph) -> Limits:
    tensor = source.tensor(name)
    channels, kind = _channels(tensor), np.iinfo(tensor.dtype.value)
    return np.full(channels, kind.min, np.int64), np.full(channels, kind.max, np.int64)


def limits_of(op: Op, source: Graph, found: Mapping[str, Limits], certificate: Certificate = NOTHING) -> Limits:
    """Those of an operator that works on int8, from the limits of what it reads; as `limits` finds them."""
    if op.inputs[0] not in found and op.kind not in ELEMENTWISE:
        return found[op.output]
    if op.kind in _DENSE or op.kind is OpKind.DEPTHWISE_CONV_2D:
        return _limits_of_sums(op, source, found[op.inputs[0]])
    if op.kind in ELEMENTWISE:
        return _limits_of_pairs(op, source, found, certificate)
    if op.kind in MOVES:
        return _limits_of_maps(op, source, found)
    if op.kind is OpKind.ASSIGN_VARIABLE:
        return found[op.inputs[0]]
    low, high = found[op.inputs[0]]
    if op.kind in TABLE_KINDS:
        stored = computed(op, source, [np.arange(-128, 128)])
        intervals = {pair: stored[pair[0] + 128 : pair[1] + 129] for pair in zip(low.tolist(), high.tolist(), strict=True)}
        chosen = [intervals[pair] for pair in zip(low.tolist(), high.tolist(), strict=True)]
        return np.array([part.min() for part in chosen]), np.array([part.max() for part in chosen])
    if isinstance(op.attrs, PoolAttrs):
        least, most = op.attrs.activation_min, op.attrs.activation_max
        return np.clip(low, least, most), np.clip(high, least, most)
    return _limits_of_maps(op, source, found) if op.kind in _REDUCTIONS else found[op.output]


def _limits_of_sums(op: Op, source: Graph, given: Limits) -> Limits:
    """The extreme sums of every kind of position: each tap takes the end of the interval that its weight wants."""
    data, weights = source.tensor(op.inputs[0]), source.tensor(op.inputs[1]).constant().astype(np.int64)
    low, high = (limit - data.zero_point for limit in given)
    if op.kind is OpKind.FULLY_CONNECTED:
        if weights.shape[1] % len(low):
            low, high = low.min(keepdims=True), high.max(keepdims=True)
        low, high = (np.tile(limit, weights.shape[1] // len(limit)) for limit in (low, high))
        ends = np.sort(np.stack([weights * low, weights * high]), axis=0).sum(axis=2)
        stored = [requantized(part + _bias(op, source), op, source) for part in ends]
        return stored[0], stored[1]
    assert isinstance(op.attrs, ConvAttrs)
    if op.kind is OpKind.DEPTHWISE_CONV_2D:
        by_output = np.moveaxis(weights, 3, 0)[:, 0, :, :, np.newaxis]  # [c_out, kernel_h, kernel_w, 1]
        low, high = (np.repeat(limit, op.attrs.depth_multiplier).reshape(-1, 1, 1, 1) for limit in (low, high))
    else:
        by_output, groups = weights, len(low) // weights.shape[3]
        low, high = (np.repeat(limit.reshape(groups, 1, 1, -1), len(weights) // groups, axis=0) for limit in (low, high))
    ends = np.sort(np.stack([by_output * low, by_output * high]), axis=0).sum(axis=4)
    found = []
    for rows, columns in product(positions(data.shape[1], op.attrs.window, 0), positions(data.shape[2], op.attrs.window, 1)):
        sums = ends[:, :, list(rows)][:, :, :, list(columns)].sum(axis=(2, 3)) + _bias(op, source)
        found.append(requantized(sums, op, source))
    return np.stack(found)[:, 0].min(axis=0), np.stack(found)[:, 1].max(axis=0)


def _limits_of_pairs(op: Op, source: Graph, found: Mapping[str, Limits], certificate: Certificate) -> Limits:
    """Elementwise: from the corners, and of channels that are certified from every pair of values."""
    channels = _channels(source.tensor(op.output))
    operands = []
    for name in op.inputs:
        tensor = source.tensor(name)
        given = found.get(name)
        if given is None:
            rows = tensor.constant().astype(np.int64).reshape(-1, _channels(tensor))
            given = rows.min(axis=0), rows.max(axis=0)
        operands.append(tuple(np.broadcast_to(limit, channels) for limit in given))
    corners = np.stack([computed(op, source, list(ends)) for ends in product(*operands)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    if op.kind is OpKind.SQUARED_DIFFERENCE:
        (left_low, left_high), (right_low, right_high) = operands
        may_be_equal = (left_low != left_high) | (right_low != right_high)
        low = np.where(may_be_equal, np.minimum(low, source.tensor(op.output).zero_point), low)
    entry = certificate.by_name.get(op.output)
    for channel in () if entry is None else entry.constants:
        left, right = (np.arange(lows[channel], highs[channel] + 1) for lows, highs in operands)
        stored = computed(op, source, [left[:, np.newaxis], right])
        low[channel], high[channel] = stored.min(), stored.max()
    return low, high


def _limits_of_maps(op: Op, source: Graph, found: Mapping[str, Limits]) -> Limits:
    """Moves and reductions: from whole maps of the limits."""
    maps = []
    for side in (0, 1):
        operands: list[Array] = []
        for name in op.inputs:
            tensor = source.tensor(name)
            limit = found[name][side] if name in found else tensor.constant().astype(np.int64)
            operands.append(np.broadcast_to(limit, tensor.shape))
        maps.append(computed(op, source, operands).reshape(-1, _channels(source.tensor(op.output))))
    return maps[0].min(axis=0), maps[1].max(axis=0)
