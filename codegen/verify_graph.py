"""The graph verifier: what every graph must hold, after reading and after each pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import UnionType

import numpy as np

from .activations import ACTIVATIONS
from .contracts import broken_clause
from .fixed_point import bilinear_places
from .ir import (
    ACTIVATION_KINDS,
    INT16_KINDS,
    ActivationAttrs,
    ClampAttrs,
    ConcatAttrs,
    ConvAttrs,
    DType,
    FusedAttrs,
    GatherAttrs,
    Graph,
    LstmAttrs,
    MatMulAttrs,
    NoAttrs,
    Op,
    OpKind,
    PadAttrs,
    PoolAttrs,
    Quantization,
    ReduceAttrs,
    ResizeAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    SvdfAttrs,
    TableAttrs,
    Tensor,
    TransposeAttrs,
    works_on_int16,
)
from .lstm import cell_exponent

Shape = tuple[int, ...]

ACTIVATION_TYPES = (DType.INT8, DType.INT16)
MAX_RANK = 6
MAX_ELEMENTS = 1 << 28
MAX_NORMALIZED = 8192  # elements of a row, so that the sum of their squares is below 2^29
MIN_SCALE, MAX_SCALE = 2.0**-40, 2.0**40  # of activations: far outside any network, well inside float32


class GraphError(ValueError):
    """A graph that breaks a rule; from a file it is the file's fault, after a pass it is the pass's."""


def verify_graph(graph: Graph) -> Graph:
    """The same graph, when it holds every rule; `GraphError` with the first broken one otherwise.

    Rules: tensors are well formed; every tensor is written once, before it is read (inputs and the variables' values are there
    from the start); each operator has the attributes, input counts, types, shapes and quantization of its kind. Of a fused
    operator each step keeps these rules, the whole keeps its pattern's contract (`contracts.py`), and nobody else reads or writes
    what stays inside.
    """
    for name, tensor in graph.tensors.items():
        if name != tensor.name:
            raise GraphError(f"tensor {tensor.name} is filed under {name}")
        _verify_tensor(tensor)
    written = set(graph.given)
    inside: set[str] = set()
    for name in graph.inputs:
        _require(name in graph.tensors and not graph.tensor(name).is_constant, f"graph input {name} is not an activation")
    _require(len(set(graph.inputs)) == len(graph.inputs), "a graph input is named twice")
    _verify_variables(graph)
    for op in graph.ops:
        _verify_op(op, graph, written)
        for name in _written_inside(op):
            _require(name not in inside, f"{op.label}: {name} is inside of two operators")
            inside.add(name)
    for name in sorted(inside & written):
        raise GraphError(f"{name} is inside of an operator and written by another")
    for name in graph.outputs:
        is_constant = name in graph.tensors and graph.tensor(name).is_constant
        _require(name in written or is_constant, f"graph output {name} is never written")
        _require(graph.tensor(name).dtype in ACTIVATION_TYPES, f"graph output {name} is not int8 or int16")
    for variable in graph.variables:
        _require(variable.after in written, f"variable {variable.before}: its next value {variable.after} is never written")
    _require(bool(graph.outputs) and bool(graph.inputs), "a graph needs an input and an output")
    _require(bool(graph.ops), "a graph needs an operator")
    return graph


def same_quantization(a: Quantization | None, b: Quantization | None) -> bool:
    """Whether two tensors' stored bytes mean the same: equal zero points, scales at most one step of float32 apart.

    Converters compute the two scales of a pool or a move each on its own; LiteRT moves the bytes and looks at neither.
    """
    if a is None or b is None or a.axis is not None or b.axis is not None or a.zero_point != b.zero_point:
        return False
    low, high = sorted((np.float32(a.scale), np.float32(b.scale)))
    return bool(high <= np.nextafter(low, np.float32(np.inf)))


def _require(holds: bool, broken: str) -> None:
    if not holds:
        raise GraphError(broken)


def _verify_tensor(tensor: Tensor) -> None:
    where = f"tensor {tensor.name}"
    _require(len(tensor.shape) <= MAX_RANK, f"{where} has rank {len(tensor.shape)}, at most {MAX_RANK} is allowed")
    _require(all(d > 0 for d in tensor.shape), f"{where} has shape {list(tensor.shape)}; dimensions must be above 0")
    _require(tensor.num_elements <= MAX_ELEMENTS, f"{where} has {tensor.num_elements} elements, above {MAX_ELEMENTS}")
    if tensor.data is not None:
        _require(tensor.data.shape == tensor.shape, f"{where}: data of shape {tensor.data.shape} for shape {tensor.shape}")
        _require(tensor.data.dtype.name == tensor.dtype.value, f"{where}: {tensor.data.dtype} data for {tensor.dtype.value}")
    q = tensor.quantization
    if tensor.dtype in ACTIVATION_TYPES:
        _require(q is not None, f"{where} is {tensor.dtype.value} without a scale")
    if q is None:
        return
    _require(all(math.isfinite(s) and s > 0 for s in q.scales), f"{where} has a scale that is not finite and above 0")
    if not tensor.is_constant:
        _require(MIN_SCALE <= q.scale <= MAX_SCALE, f"{where} has scale {q.scale:g}, outside {MIN_SCALE:g}..{MAX_SCALE:g}")
    if tensor.dtype is DType.INT8:
        _require(all(-128 <= z <= 127 for z in q.zero_points), f"{where} has a zero point outside -128..127")
    if tensor.dtype is DType.INT16:
        _require(not any(q.zero_points), f"{where} is int16 with a zero point")
    if q.axis is not None:
        _require(0 <= q.axis < max(1, len(tensor.shape)), f"{where}: quantized axis {q.axis} of rank {len(tensor.shape)}")
        _require(len(q.scales) == tensor.shape[q.axis], f"{where}: {len(q.scales)} scales for {tensor.shape[q.axis]} channels")
        _require(tensor.is_constant, f"{where} is an activation with per-channel scales")


def _verify_variables(graph: Graph) -> None:
    """Each variable has tensors of its own for its first and its next value, both like its start."""
    _require(len(set(graph.given)) == len(graph.given), "a variable's first value is another's, or a graph input")
    after = [variable.after for variable in graph.variables]
    _require(len(set(after)) == len(after), "two variables have one tensor as next value")
    for variable in graph.variables:
        where = f"variable {variable.before}"
        for name in (variable.before, variable.after):
            _require(name in graph.tensors and not graph.tensor(name).is_constant, f"{where}: {name} is not an activation")
        before, next_value = graph.tensor(variable.before), graph.tensor(variable.after)
        _require(before.shape == next_value.shape, f"{where}: shapes {list(before.shape)} and {list(next_value.shape)} differ")
        _require(before.quantization == next_value.quantization, f"{where}: {variable.after} has another scale or zero point")
        _require(before.dtype is next_value.dtype, f"{where}: {variable.after} is {next_value.dtype.value}")
        maker = graph.producer(variable.around) if variable.around is not None else None
        stays = maker is not None and isinstance(maker.attrs, ConcatAttrs) and maker.attrs.first_stays
        _require(variable.around is None or stays, f"{where}: {variable.around} is no CONCATENATION whose first input stays")
        start = variable.start
        _require(start.shape == before.shape, f"{where}: it starts with {list(start.shape)} values for {list(before.shape)}")
        _require(start.dtype.name == before.dtype.value, f"{where}: it starts with {start.dtype}, and is {before.dtype.value}")


def _written_inside(op: Op) -> list[str]:
    """What the body of a fused operator writes and nobody outside may see."""
    if not isinstance(op.attrs, FusedAttrs):
        return []
    return [name for step in op.attrs.body for name in step.outputs if name not in op.outputs]


def _verify_op(op: Op, graph: Graph, written: set[str]) -> None:
    _require((op.kind is OpKind.FUSED) == isinstance(op.attrs, FusedAttrs), f"{op.kind.value} has {type(op.attrs).__name__}")
    _require(bool(op.inputs) and bool(op.outputs), f"{op.kind.value} has {len(op.inputs)} inputs, {len(op.outputs)} outputs")
    for name in (*op.inputs, *op.outputs):
        _require(name in graph.tensors, f"{op.label}: tensor {name} does not exist")
    for name in op.inputs:
        _require(name in written or graph.tensor(name).is_constant, f"{op.label}: reads {name} before it is written")
    for name in op.outputs:
        _require(name not in written and not graph.tensor(name).is_constant, f"{op.label}: {name} is written twice")
    if isinstance(op.attrs, FusedAttrs):
        for step in op.attrs.body:
            _verify_op(step, graph, written)
        _require(written.issuperset(op.outputs), f"{op.label}: its body does not write its outputs")
        written.difference_update(name for step in op.attrs.body for name in step.outputs)  # the others stay inside
        needed = {n for step in op.attrs.body for n in step.inputs} - {n for step in op.attrs.body for n in step.outputs}
        _require(needed == set(op.inputs), f"{op.label}: its body reads {sorted(needed)}, its inputs are {sorted(op.inputs)}")
        broken = broken_clause(op, graph)
        _require(broken is None, f"{op.label} is not a {op.attrs.pattern.value}: {broken}")
    else:
        attrs_type, min_inputs, max_inputs, shape_rule = _RULES[op.kind]
        _require(isinstance(op.attrs, attrs_type), f"{op.label}: attributes are {type(op.attrs).__name__}")
        count = len(op.inputs)
        _require(min_inputs <= count <= max_inputs, f"{op.label}: {count} inputs, {min_inputs} to {max_inputs} are allowed")
        outputs = {OpKind.UNIDIRECTIONAL_SEQUENCE_LSTM: 3, OpKind.SVDF: 2}.get(op.kind, 1)
        _require(len(op.outputs) == outputs, f"{op.label}: {len(op.outputs)} outputs, {outputs} are allowed")
        _verify_types(op, graph)
        if isinstance(op.attrs, ClampAttrs | ConvAttrs | PoolAttrs):
            low, high = op.attrs.activation_min, op.attrs.activation_max
            least, largest = graph.tensor(op.output).dtype.limits
            _require(least <= low <= high <= largest, f"{op.label}: the activation's bounds are {low} and {high}")
        expected = shape_rule(op, graph)
        found = graph.tensor(op.output).shape
        _require(expected == found, f"{op.label}: output has shape {list(found)}, the operator gives {list(expected)}")
        if op.kind in _SAME_QUANTIZATION:
            out = graph.tensor(op.output).quantization
            for name in op.inputs:
                same = same_quantization(graph.tensor(name).quantization, out)
                _require(same, f"{op.label}: {name} and its output must have the same scale and zero point")
    written.update(op.outputs)


def _verify_types(op: Op, graph: Graph) -> None:
    """Activations are int8 or, where the operator is computed on it, int16; only QUANTIZE goes from one to the other."""
    has_weights = op.kind in (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED)
    is_recurrent = op.kind in (OpKind.UNIDIRECTIONAL_SEQUENCE_LSTM, OpKind.SVDF)
    data = op.inputs[:1] if has_weights or is_recurrent else op.inputs
    types = {graph.tensor(name).dtype for name in (*data, op.output)}
    allowed = ACTIVATION_TYPES if op.kind in INT16_KINDS else (DType.INT8,)
    _require(types.issubset(allowed), f"{op.label}: its data are not {' or '.join(t.value for t in allowed)}")
    _require(len(types) == 1 or op.kind is OpKind.QUANTIZE, f"{op.label}: its data are of several types")


def _input(op: Op, graph: Graph, index: int = 0) -> Tensor:
    return graph.tensor(op.inputs[index])


def _nhwc(op: Op, graph: Graph) -> tuple[int, int, int, int]:
    shape = _input(op, graph).shape
    _require(len(shape) == 4, f"{op.label}: input has rank {len(shape)}, 4 (NHWC) is needed")
    _require(shape[0] == 1, f"{op.label}: a batch of {shape[0]}, 1 is allowed")
    return shape[0], shape[1], shape[2], shape[3]


def _verify_weights(op: Op, graph: Graph, c_out: int) -> None:
    weights = _input(op, graph, 1)
    q = weights.quantization
    _require(weights.is_constant and weights.dtype is DType.INT8 and q is not None, f"{op.label}: weights must be constant int8")
    assert q is not None
    _require(all(z == 0 for z in q.zero_points), f"{op.label}: weights must have zero point 0")
    channel_axis = 3 if op.kind is OpKind.DEPTHWISE_CONV_2D else 0
    _require(q.axis in (None, channel_axis), f"{op.label}: weights are quantized along axis {q.axis}, not {channel_axis}")
    if len(op.inputs) > 2:
        bias = _input(op, graph, 2)
        types = (DType.INT32, DType.INT64) if works_on_int16(op, graph) else (DType.INT32,)
        good = bias.is_constant and bias.dtype in types and bias.num_elements == c_out
        _require(good, f"{op.label}: the bias must be {c_out} constant {' or '.join(t.value for t in types)} values")


def _conv_shape(op: Op, graph: Graph) -> Shape:
    n, h, w, c = _nhwc(op, graph)
    weights = _input(op, graph, 1).shape
    assert isinstance(op.attrs, ConvAttrs)
    window, depth_multiplier = op.attrs.window, op.attrs.depth_multiplier
    _require(len(weights) == 4, f"{op.label}: weights have rank {len(weights)}, 4 is needed")
    _require(weights[1:3] == (window.kernel_h, window.kernel_w), f"{op.label}: the window is not the weights' {weights[1:3]}")
    _verify_window(op, h, w)
    if op.kind is OpKind.CONV_2D:
        c_out = weights[0]
        groups, rest = divmod(c, weights[3])
        _require(groups > 0 and rest == 0, f"{op.label}: weights for {weights[3]} input channels, the input has {c}")
        _require(c_out % groups == 0, f"{op.label}: {c_out} output channels in {groups} groups")
        _require(depth_multiplier == 0, f"{op.label}: CONV_2D has no depth multiplier")
    else:
        c_out = weights[3]
        _require(weights[0] == 1 and c_out == c * depth_multiplier, f"{op.label}: weights {list(weights)} for {c} channels")
    _verify_weights(op, graph, c_out)
    return (n, *window.output_hw(h, w), c_out)


def _verify_window(op: Op, h: int, w: int) -> None:
    assert isinstance(op.attrs, ConvAttrs | PoolAttrs)
    win = op.attrs.window
    sizes = (win.kernel_h, win.kernel_w, win.stride_h, win.stride_w, win.dilation_h, win.dilation_w)
    pads = (win.pad_top, win.pad_bottom, win.pad_left, win.pad_right)
    _require(all(v > 0 for v in sizes) and all(v >= 0 for v in pads), f"{op.label}: impossible window {win}")
    _require(min(win.output_hw(h, w)) > 0, f"{op.label}: the window is larger than the padded input of {h}x{w}")


def _fully_connected_shape(op: Op, graph: Graph) -> Shape:
    weights = _input(op, graph, 1).shape
    _require(len(weights) == 2, f"{op.label}: weights have rank {len(weights)}, 2 is needed")
    elements, found = _input(op, graph).num_elements, graph.tensor(op.output).shape
    rows, rest = divmod(elements, weights[1])
    _require(rest == 0, f"{op.label}: {elements} inputs do not divide into rows of {weights[1]}")
    _verify_weights(op, graph, weights[0])
    good = bool(found) and found[-1] == weights[0] and math.prod(found) == rows * weights[0]
    return found if good else (rows, weights[0])


def _pool_shape(op: Op, graph: Graph) -> Shape:
    n, h, w, c = _nhwc(op, graph)
    assert isinstance(op.attrs, PoolAttrs)
    _verify_window(op, h, w)
    win = op.attrs.window
    smaller = max(win.pad_top, win.pad_bottom) < win.kernel_h and max(win.pad_left, win.pad_right) < win.kernel_w
    _require(smaller, f"{op.label}: a pooling window would lie wholly in the padding")
    return (n, *win.output_hw(h, w), c)


def _broadcast_shape(op: Op, graph: Graph) -> Shape:
    left, right = _input(op, graph, 0), _input(op, graph, 1)
    rank = max(len(left.shape), len(right.shape))
    a = (1,) * (rank - len(left.shape)) + left.shape
    b = (1,) * (rank - len(right.shape)) + right.shape
    matches = all(x == y or 1 in (x, y) for x, y in zip(a, b, strict=True))
    _require(matches, f"{op.label}: shapes {list(left.shape)} and {list(right.shape)} do not broadcast")
    return tuple(max(x, y) for x, y in zip(a, b, strict=True))


def _reduce_shape(op: Op, graph: Graph) -> Shape:
    shape = _input(op, graph).shape
    assert isinstance(op.attrs, ReduceAttrs)
    axes = op.attrs.axes
    ordered = axes == tuple(sorted(set(axes))) and all(0 <= a < len(shape) for a in axes)
    _require(ordered, f"{op.label}: axes {axes} of {list(shape)}")
    if op.attrs.keep_dims:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def _same_shape(op: Op, graph: Graph) -> Shape:
    return _input(op, graph).shape


def _concat_shape(op: Op, graph: Graph) -> Shape:
    assert isinstance(op.attrs, ConcatAttrs)
    axis = op.attrs.axis
    shapes = [graph.tensor(name).shape for name in op.inputs]
    _require(0 <= axis < len(shapes[0]), f"{op.label}: axis {axis} of rank {len(shapes[0])}")
    rest = {(len(s), s[:axis], s[axis + 1 :]) for s in shapes}
    _require(len(rest) == 1, f"{op.label}: inputs differ in more than axis {axis}")
    return (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])


def _slice_shape(op: Op, graph: Graph) -> Shape:
    shape, found = _input(op, graph).shape, graph.tensor(op.output).shape
    assert isinstance(op.attrs, SliceAttrs)
    begin, strides = op.attrs.begin, op.attrs.strides
    ranks = {len(begin), len(strides), len(shape), len(found)}
    _require(len(ranks) == 1, f"{op.label}: input, output, begin and strides must have one rank")
    for axis, (b, s, count) in enumerate(zip(begin, strides, found, strict=True)):
        last = b + (count - 1) * s
        inside = s != 0 and 0 <= b < shape[axis] and 0 <= last < shape[axis]
        _require(inside, f"{op.label}: axis {axis} reads {b}..{last} of {shape[axis]}")
    return found


def _gather_shape(op: Op, graph: Graph) -> Shape:
    shape = _input(op, graph).shape
    assert isinstance(op.attrs, GatherAttrs)
    axis, indices = op.attrs.axis, op.attrs.indices
    _require(0 <= axis < len(shape) and len(indices) > 0, f"{op.label}: axis {axis} of {list(shape)}, {len(indices)} indices")
    inside = all(0 <= index < shape[axis] for index in indices)
    _require(inside, f"{op.label}: an index of {min(indices)}..{max(indices)} is outside axis {axis} of {shape[axis]}")
    return (*shape[:axis], len(indices), *shape[axis + 1 :])


def _transpose_shape(op: Op, graph: Graph) -> Shape:
    shape = _input(op, graph).shape
    assert isinstance(op.attrs, TransposeAttrs)
    permutation = op.attrs.permutation
    _require(sorted(permutation) == list(range(len(shape))), f"{op.label}: permutation {permutation} of {list(shape)}")
    return tuple(shape[axis] for axis in permutation)


def _pad_shape(op: Op, graph: Graph) -> Shape:
    shape = _input(op, graph).shape
    assert isinstance(op.attrs, PadAttrs)
    before, after = op.attrs.before, op.attrs.after
    good = len(before) == len(after) == len(shape) and all(p >= 0 for p in (*before, *after))
    _require(good, f"{op.label}: paddings {before} and {after} for rank {len(shape)}")
    return tuple(b + d + a for b, d, a in zip(before, shape, after, strict=True))


def _reshape_shape(op: Op, graph: Graph) -> Shape:
    source, found = _input(op, graph), graph.tensor(op.output)
    same = source.num_elements == found.num_elements
    _require(same, f"{op.label}: {list(source.shape)} and {list(found.shape)} differ in their number of elements")
    return found.shape


def _lstm_shape(op: Op, graph: Graph) -> Shape:
    assert isinstance(op.attrs, LstmAttrs)
    places = op.attrs.operands
    _require(len(places) == len(op.inputs) and places[:3] == (0, 1, 2), f"{op.label}: its operands are not its inputs")
    found = {place: graph.tensor(name) for place, name in zip(places, op.inputs, strict=True)}
    gates = [i for i in range(4) if 3 + i in found]
    peepholes = [i for i, place in ((0, 15), (1, 16), (3, 17)) if place in found]
    normalised = {20 + i for i in range(4) if 20 + i in found}
    needed = {place + i for i in gates for place in (3, 7, 11)}
    good = gates in ([0, 1, 2, 3], [1, 2, 3]) and set(places) - {0, 1, 2, 15, 16, 17, 18, 19, *normalised} == needed
    good = good and normalised in (set(), {20 + i for i in gates})
    good = good and peepholes in ([], [i for i in gates if i != 2]) and (19 not in found or 18 in found)
    _require(good, f"{op.label}: operands {list(places)} are no LSTM's")
    data, hidden, cell = (found[i] for i in range(3))
    _require(
        len(data.shape) == 3 and 1 in data.shape[:2], f"{op.label}: data of shape {list(data.shape)}, a batch of 1 is needed"
    )
    c_in, cells, units = data.shape[2], cell.num_elements, hidden.num_elements
    types = (hidden.dtype, cell.dtype) == (DType.INT8, DType.INT16) and (hidden.shape, cell.shape) == ((1, units), (1, cells))
    _require(types and (units == cells or 18 in found), f"{op.label}: states are int8 [1, units] and int16 [1, cells]")
    _require(units == cells or not peepholes, f"{op.label}: peepholes with {units} units of {cells} cells")
    _require(cell_exponent(cell.scale) is not None and cell.zero_point == 0, f"{op.label}: cell scale {cell.scale:g}")
    kinds = {
        **dict.fromkeys(range(3, 7), (DType.INT8, (cells, c_in))),
        **dict.fromkeys(range(7, 11), (DType.INT8, (cells, units))),
        **dict.fromkeys(range(11, 15), (DType.INT32, (cells,))),
        **dict.fromkeys((15, 16, 17, 20, 21, 22, 23), (DType.INT16, (cells,))),
        18: (DType.INT8, (units, cells)),
        19: (DType.INT32, (units,)),
    }
    for place, tensor in found.items():
        if place > 2:
            dtype, shape = kinds[place]
            good = tensor.is_constant and tensor.dtype is dtype and tensor.shape == shape
            _require(good, f"{op.label}: {tensor.name} must be constant {dtype.value} {list(shape)}")
            _require(dtype is DType.INT32 or tensor.zero_point == 0, f"{op.label}: weights must have zero point 0")
    for state, name in ((hidden, op.outputs[1]), (cell, op.outputs[2])):
        behind = graph.tensor(name)
        same = (state.shape, state.dtype, state.quantization) == (behind.shape, behind.dtype, behind.quantization)
        _require(same, f"{op.label}: {name} is not like the state before")
    _require(graph.tensor(op.output).quantization == hidden.quantization, f"{op.label}: the output's scale is not the state's")
    return (*data.shape[:2], units)


def _svdf_shape(op: Op, graph: Graph) -> Shape:
    assert isinstance(op.attrs, SvdfAttrs)
    data, state, weights, taps, *bias = (graph.tensor(name) for name in op.inputs)
    ranks = {len(data.shape), len(weights.shape), len(taps.shape)}
    _require(ranks == {2} and data.shape[0] == 1, f"{op.label}: data of shape {list(data.shape)}, a batch of 1 is needed")
    filters, memory = taps.shape
    rank = op.attrs.rank
    _require(rank > 0 and filters % rank == 0, f"{op.label}: rank {rank} of {filters} filters")
    good = weights.is_constant and weights.dtype is DType.INT8 and weights.shape == (filters, data.shape[1])
    _require(good, f"{op.label}: weights of the data must be constant int8 {[filters, data.shape[1]]}")
    _require(taps.is_constant and taps.dtype is DType.INT16, f"{op.label}: weights of the memory must be constant int16")
    _require(weights.zero_point == taps.zero_point == state.zero_point == 0, f"{op.label}: zero points must be 0")
    good = state.dtype is DType.INT16 and state.shape == (1, filters * memory)
    _require(good, f"{op.label}: its state must be int16 {[1, filters * memory]}")
    for tensor in bias:
        good = tensor.is_constant and tensor.dtype is DType.INT32 and tensor.num_elements == filters // rank
        _require(good, f"{op.label}: the bias must be {filters // rank} constant int32 values")
    behind = graph.tensor(op.outputs[1])
    same = (state.shape, state.dtype, state.quantization) == (behind.shape, behind.dtype, behind.quantization)
    _require(same, f"{op.label}: {behind.name} is not like the state before")
    return (1, filters // rank)


def _activation_shape(op: Op, graph: Graph) -> Shape:
    needed, found = len(ACTIVATIONS[op.kind.value].parameters), len(op.parameters)
    _require(found == needed, f"{op.label}: {found} parameters, {needed} are needed")
    return _same_shape(op, graph)


def _table_shape(op: Op, graph: Graph) -> Shape:
    assert isinstance(op.attrs, TableAttrs)
    entries = op.attrs.entries
    _require(len(entries) == 256 and all(-128 <= e <= 127 for e in entries), f"{op.label}: a table has 256 entries of int8")
    return _same_shape(op, graph)


def _constant_second(op: Op, graph: Graph) -> Tensor:
    second = _input(op, graph, 1)
    is_one = second.quantization is not None and second.quantization.axis is None
    _require(second.is_constant and second.dtype is DType.INT8 and is_one, f"{op.label}: {second.name} must be constant int8")
    return second


def _prelu_shape(op: Op, graph: Graph) -> Shape:
    _constant_second(op, graph)
    shape = _broadcast_shape(op, graph)
    _require(shape == _input(op, graph).shape, f"{op.label}: alpha is larger than the data")
    return shape


def _div_shape(op: Op, graph: Graph) -> Shape:
    divisor = _constant_second(op, graph)
    by = int(divisor.constant().reshape(-1)[0]) - divisor.zero_point
    _require(divisor.num_elements == 1 and by != 0, f"{op.label}: the divisor must be one constant that is not 0")
    return _broadcast_shape(op, graph)


def _matmul_shape(op: Op, graph: Graph) -> Shape:
    assert isinstance(op.attrs, MatMulAttrs)
    left, right = list(_input(op, graph, 0).shape), list(_input(op, graph, 1).shape)
    _require(_input(op, graph, 1).dtype is DType.INT8, f"{op.label}: {op.inputs[1]} is not int8")
    _require(min(len(left), len(right)) >= 2, f"{op.label}: a matrix has rank 2 or more")
    if op.attrs.adj_x:
        left[-2:] = left[:-3:-1]
    if op.attrs.adj_y:
        right[-2:] = right[:-3:-1]
    rank = max(len(left), len(right)) - 2
    batches = [(1,) * (rank - len(s) + 2) + tuple(s[:-2]) for s in (left, right)]
    fits = left[-1] == right[-2] and all(a == b or 1 in (a, b) for a, b in zip(*batches, strict=True))
    _require(fits, f"{op.label}: matrices of {left} and {right}")
    return (*(max(a, b) for a, b in zip(*batches, strict=True)), left[-2], right[-1])


def _normalized_shape(op: Op, graph: Graph) -> Shape:
    shape, output = _same_shape(op, graph), graph.tensor(op.output)
    _require(bool(shape) and shape[-1] <= MAX_NORMALIZED, f"{op.label}: rows of 1 to {MAX_NORMALIZED} elements are normalised")
    _require((output.scale, output.zero_point) == (1 / 128, 0), f"{op.label}: its output has scale {output.scale:g}")
    return shape


def _resized_shape(op: Op, graph: Graph) -> Shape:
    n, h, w, c = _nhwc(op, graph)
    found = graph.tensor(op.output).shape
    _require(len(found) == 4 and isinstance(op.attrs, ResizeAttrs), f"{op.label}: output of shape {list(found)}")
    assert isinstance(op.attrs, ResizeAttrs)
    for size, wanted in ((h, found[1]), (w, found[2])):
        below = bilinear_places(size, wanted, op.attrs.align_corners, op.attrs.half_pixel_centers)[0]
        _require(int(below.max()) < size, f"{op.label}: {wanted} elements of {size} read past the end")
    return (n, *found[1:3], c)


_SAME_QUANTIZATION = frozenset(
    {
        OpKind.RESIZE_BILINEAR,
        OpKind.REDUCE_MAX,
        OpKind.REDUCE_MIN,
        OpKind.MAX_POOL_2D,
        OpKind.AVERAGE_POOL_2D,
        OpKind.CONCATENATION,
        OpKind.SLICE,
        OpKind.STRIDED_SLICE,
        OpKind.GATHER,
        OpKind.TRANSPOSE,
        OpKind.PAD,
        OpKind.RESHAPE,
        OpKind.READ_VARIABLE,
        OpKind.ASSIGN_VARIABLE,
    }
)

_Rule = tuple[type | UnionType, int, int, Callable[[Op, Graph], Shape]]
_RULES: Mapping[OpKind, _Rule] = {
    OpKind.CONV_2D: (ConvAttrs, 2, 3, _conv_shape),
    OpKind.DEPTHWISE_CONV_2D: (ConvAttrs, 2, 3, _conv_shape),
    OpKind.FULLY_CONNECTED: (ClampAttrs, 2, 3, _fully_connected_shape),
    OpKind.ADD: (ClampAttrs, 2, 2, _broadcast_shape),
    OpKind.SUB: (ClampAttrs, 2, 2, _broadcast_shape),
    OpKind.MUL: (ClampAttrs, 2, 2, _broadcast_shape),
    OpKind.MAXIMUM: (NoAttrs, 2, 2, _broadcast_shape),
    OpKind.MINIMUM: (NoAttrs, 2, 2, _broadcast_shape),
    OpKind.SQUARED_DIFFERENCE: (NoAttrs, 2, 2, _broadcast_shape),
    OpKind.MEAN: (ReduceAttrs, 1, 1, _reduce_shape),
    OpKind.REDUCE_MAX: (ReduceAttrs, 1, 1, _reduce_shape),
    OpKind.REDUCE_MIN: (ReduceAttrs, 1, 1, _reduce_shape),
    OpKind.AVERAGE_POOL_2D: (PoolAttrs, 1, 1, _pool_shape),
    OpKind.MAX_POOL_2D: (PoolAttrs, 1, 1, _pool_shape),
    OpKind.SOFTMAX: (SoftmaxAttrs, 1, 1, _same_shape),
    OpKind.CONCATENATION: (ConcatAttrs, 1, 64, _concat_shape),
    OpKind.SLICE: (SliceAttrs, 1, 1, _slice_shape),
    OpKind.STRIDED_SLICE: (SliceAttrs, 1, 1, _slice_shape),
    OpKind.GATHER: (GatherAttrs, 1, 1, _gather_shape),
    OpKind.TRANSPOSE: (TransposeAttrs, 1, 1, _transpose_shape),
    OpKind.PAD: (PadAttrs, 1, 1, _pad_shape),
    OpKind.RESHAPE: (NoAttrs, 1, 1, _reshape_shape),
    OpKind.UNIDIRECTIONAL_SEQUENCE_LSTM: (LstmAttrs, 12, 24, _lstm_shape),
    OpKind.SVDF: (SvdfAttrs, 4, 5, _svdf_shape),
    OpKind.READ_VARIABLE: (NoAttrs, 1, 1, _same_shape),
    OpKind.ASSIGN_VARIABLE: (NoAttrs, 1, 1, _same_shape),
    **dict.fromkeys(ACTIVATION_KINDS, (NoAttrs | ActivationAttrs, 1, 1, _activation_shape)),
    OpKind.TABLE: (TableAttrs, 1, 1, _table_shape),
    OpKind.PRELU: (NoAttrs, 2, 2, _prelu_shape),
    OpKind.DIV: (ClampAttrs, 2, 2, _div_shape),
    OpKind.BATCH_MATMUL: (MatMulAttrs, 2, 2, _matmul_shape),
    OpKind.L2_NORMALIZATION: (NoAttrs, 1, 1, _normalized_shape),
    OpKind.RESIZE_BILINEAR: (ResizeAttrs, 1, 1, _resized_shape),
}
