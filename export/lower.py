"""Float ONNX -> a float network of TFLite operators in NHWC, with a TRANSPOSE only where no order of memory fits.

Each ONNX value keeps its meaning; only where its elements lie in memory changes (`layout.py`). Reshapes cost nothing. Notable:

- Max-out, Reshape [N, m * h, H, W] -> [N, m, h, H, W] and ReduceMax over the heads, is RESHAPE to [1, H * W, m, h], REDUCE_MAX
  over axis 3, RESHAPE to [1, H, W, m]: map index = channel * h + head in torch and in TFLite alike.
- Channel attention: MEAN over H and W, RESHAPE [1, 1, C, 1], CONV_2D with a filter [1, 1, 7, 1] for each statistic, ADD, then
  LOGISTIC, RESHAPE [1, 1, 1, C], MUL; over heads RESHAPE [1, 1, m, h], SOFTMAX, RESHAPE, MUL. (x - mean)^2 is SQUARED_DIFFERENCE.
- A fully connected layer is a CONV_2D 1x1 on [1, 1, 1, C]: LiteRT's FULLY_CONNECTED rounds otherwise than older ones.
  After a map the weights' columns are permuted to the order of memory.
- torch's symmetric padding is an explicit PAD and a VALID window, unless it happens to be TFLite's SAME.
- A Relu or a Clip around 0 goes into the operator before it, where nothing else reads that; a Clip alone is a QUANTIZE.
- A channel shuffle moves nothing: depthwise convolutions and elementwise operators take the channels as they lie, convolutions
  read them with shuffled weights. Where groups or another map need their own order, that is a GATHER; behind a convolution that
  nothing else reads it is an order of its filters (`fold_gathers.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..codegen.fixed_point import bilinear_places
from ..errors import BadModel, UnsupportedOperators
from .float_graph import Array, FloatGraph, Kind
from .fold_gathers import fold_gathers
from .layout import Layout, channels_last_order
from .lower_builder import Builder, CannotLowerError, broadcast_shape, constant_operand, nhwc
from .lower_windows import lower_average_pool, lower_conv, lower_max_pool
from .onnx_graph import Node, OnnxGraph
from .onnx_nodes import clamp_of, clip_bounds, reduced_axes

_ADVICE = {
    "ConvTranspose": "two axes, one group, no dilation, and as much padding as kernel",
    "Resize": "nearest, or linear by half pixels, corners or neither",
    "PRelu": "the slope must be constant",
    "LogSoftmax": "leave it to the caller",
    "ArgMax": "leave it to the caller",
}


def lower(graph: OnnxGraph) -> FloatGraph:
    """The simplified ONNX graph in TFLite's operators.

    Raises UnsupportedOperators with every node that cannot be lowered; nodes behind one are judged by their kind alone.
    """
    builder = Builder(graph)
    for value in graph.inputs:
        builder.add_input(value)
    problems: list[str] = []
    broken: set[str] = set()
    for node in graph.nodes:
        if node.output in builder.fused or node.output in builder.inside_tables:
            continue
        handler = _table if node.output in builder.tables else _HANDLERS.get(node.op)
        try:
            if handler is None:
                raise CannotLowerError("")
            if broken.intersection((_source(builder, node),) if handler is _table else node.inputs):
                broken.update(node.outputs)
                continue
            handler(builder, node)
        except CannotLowerError as reason:
            text = "; ".join(part for part in (str(reason), _ADVICE.get(node.op, "")) if part)
            problems.append(f"{node.label}{f' ({text})' if text else ''}")
            broken.update(node.outputs)
    if problems:
        raise UnsupportedOperators(problems)
    if any(value in graph.constants for value in graph.outputs):
        raise BadModel("the model's output does not depend on its input")
    lowered = fold_gathers(builder.finish())
    if not lowered.ops:
        raise BadModel("the model has no operators")
    return lowered


def _source(b: Builder, node: Node) -> str:
    return b.tables[node.output].source


def _table(b: Builder, node: Node) -> None:
    """A function of one value, of all the nodes that say it."""
    placed = b.placed(_source(b, node))
    options = {"term": b.tables[node.output].term}
    b.emit(Kind.TABLE, node, [placed.tensor], node.output, b.tensor_shape(placed.tensor), placed.layout, options=options)


def _prelu(b: Builder, node: Node) -> None:
    b.constant(node, 1, "slopes")
    _emit_binary(b, node, Kind.PRELU, node.inputs[0], node.inputs[1], node.output, {})


def _unary(kind: Kind) -> Callable[[Builder, Node], None]:
    return lambda b, node: _elementwise(b, node, kind)


def _leaky_relu(b: Builder, node: Node) -> None:
    _elementwise(b, node, Kind.LEAKY_RELU, {"alpha": float(node.attrs.get("alpha", 0.01))})


def _elementwise(b: Builder, node: Node, kind: Kind, options: Mapping[str, float] | None = None) -> None:
    placed = b.placed(node.inputs[0])
    b.emit(kind, node, [placed.tensor], node.output, b.tensor_shape(placed.tensor), placed.layout, options=options or {})


def _clip(b: Builder, node: Node) -> None:
    activation = clamp_of(node, b.graph)
    if activation is None:
        bounds = clip_bounds(node, b.graph)
        raise CannotLowerError(f"it clips to {bounds}" if bounds else "its bounds are not constant")
    placed = b.placed(next(name for name in node.inputs if name not in b.graph.constants))
    kind = Kind.QUANTIZE if activation == "NONE" else Kind(activation)
    b.emit(kind, node, [placed.tensor], node.output, b.tensor_shape(placed.tensor), placed.layout)


def _binary(kind: Kind, can_clamp: bool = True) -> Callable[[Builder, Node], None]:
    def handler(b: Builder, node: Node) -> None:
        value, activation = b.fused_activation(node) if can_clamp else (node.output, "NONE")
        _emit_binary(b, node, kind, node.inputs[0], node.inputs[1], value, {"fusedActivationFunction": activation})

    return handler


def _emit_binary(b: Builder, node: Node, kind: Kind, left: str, right: str, value: str, options: dict[str, Any]) -> None:
    """An elementwise operator; one operand may be smaller, or a constant."""
    shape = b.shape(node.output)
    main = next((name for name in (left, right) if name not in b.graph.constants and b.shape(name) == shape), None)
    if main is None:
        raise CannotLowerError(f"{b.shape(left)} and {b.shape(right)} both broadcast")
    placed = b.placed(main)
    tensor, layout = placed.tensor, placed.layout
    other = right if main == left else left
    other_logical = (1,) * (len(shape) - len(b.shape(other))) + b.shape(other)
    broadcast = [axis for axis, size in enumerate(other_logical) if size == 1 and shape[axis] > 1]
    tensor, dims = b.isolated(main, broadcast) if broadcast else (tensor, layout.axes_of_dims(b.tensor_shape(tensor)) or [])
    physical = b.tensor_shape(tensor)
    if other in b.graph.constants:
        data = constant_operand(layout, dims, physical, b.graph.constants[other]) if broadcast else b.graph.constants[other]
        if not broadcast:
            data = layout.to_memory(np.asarray(data).reshape(shape)).reshape(physical)
        operand = b.add_constant(other, data.astype(np.float32))
    else:
        other_layout = b.placed(other).layout.reshape(other_logical)
        wanted = layout.without(broadcast)
        held = b.placed(other).tensor
        is_map = b.shape(other) == other_logical and b.placed(other).layout.channel_order is not None
        if other_layout != wanted and is_map and wanted.channel_order is not None:
            held = b.in_layout(other, wanted)
        elif other_layout != wanted:
            for name in (main, other):  # row by row: so every shape broadcasts
                b.reorder(name, range(len(b.shape(name))))
            assert b.placed(other).layout.reshape(other_logical) == b.placed(main).layout.without(broadcast)
            _emit_binary(b, node, kind, left, right, value, options)
            return
        operand = b.view(held, broadcast_shape(dims, physical, broadcast))
    inputs = [tensor, operand] if main == left else [operand, tensor]
    b.emit(kind, node, inputs, value, physical, layout, options=options)


def _mul(b: Builder, node: Node) -> None:
    left, right = node.inputs
    difference = b.producers.get(left)
    if left == right and difference is not None and difference.op == "Sub" and left not in b.graph.constants:
        a, c = difference.inputs
        if a not in b.graph.constants and c not in b.graph.constants:
            _emit_binary(b, node, Kind.SQUARED_DIFFERENCE, a, c, node.output, {})
            return
    _binary(Kind.MUL)(b, node)


def _maximum(b: Builder, node: Node) -> None:
    left, right = node.inputs
    _emit_binary(b, node, Kind.MAXIMUM, left, right, node.output, {})


def _minimum(b: Builder, node: Node) -> None:
    if clip_bounds(node, b.graph) is not None:
        _clip(b, node)
        return
    if len(node.inputs) != 2:
        raise CannotLowerError(f"the minimum of {len(node.inputs)}")
    left, right = node.inputs
    _emit_binary(b, node, Kind.MINIMUM, left, right, node.output, {})


def _softmax(b: Builder, node: Node) -> None:
    rank = len(b.shape(node.inputs[0]))
    axis = int(node.attrs.get("axis", -1)) % rank
    if b.isolated(node.inputs[0], [axis])[1][-1] != {axis}:
        b.reorder(node.inputs[0], [*(other for other in range(rank) if other != axis), axis])
        shape = b.shape(node.inputs[0])
        tensor = b.view(b.placed(node.inputs[0]).tensor, [*(size for i, size in enumerate(shape) if i != axis), shape[axis]])
    else:
        tensor, _ = b.isolated(node.inputs[0], [axis])
    layout = b.placed(node.inputs[0]).layout
    b.emit(Kind.SOFTMAX, node, [tensor], node.output, b.tensor_shape(tensor), layout, options={"beta": 1.0})


def _reduce(kind: Kind, keep_dims: bool) -> Callable[[Builder, Node], None]:
    def handler(b: Builder, node: Node) -> None:
        axes = reduced_axes(node, b.graph)
        if axes is None:
            raise CannotLowerError("its axes are not constant")
        layout = b.placed(node.inputs[0]).layout
        tensor, dims = b.isolated(node.inputs[0], axes)
        over = [index for index, touched in enumerate(dims) if touched and touched <= set(axes)]
        reduced = layout.without(axes).reshape(b.shape(node.output))
        assert reduced is not None
        shape = [
            1 if index in over else size for index, size in enumerate(b.tensor_shape(tensor)) if keep_dims or index not in over
        ]
        if not over:
            b.place(node.output, tensor, reduced)
            return
        key = (kind, tensor, tuple(over))
        known = b.known_reductions.get(key)
        if known is not None:
            b.place(node.output, known, reduced)
            return
        output = b.emit(
            kind,
            node,
            [tensor],
            node.output,
            shape,
            reduced,
            options={"keepDims": keep_dims},
            parameters=(np.array(over, np.int32),),
        )
        b.known_reductions[key] = output

    return handler


def _gemm(b: Builder, node: Node) -> None:
    if node.attrs.get("transA", 0):
        raise CannotLowerError("its input is transposed")
    weights = b.constant(node, 1, "weights") * node.attrs.get("alpha", 1.0)
    if not node.attrs.get("transB", 0):
        weights = weights.T
    bias = None
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = b.constant(node, 2, "biases") * node.attrs.get("beta", 1.0)
    _fully_connected(b, node, weights, bias)


def _matmul(b: Builder, node: Node) -> None:
    weights = b.graph.constants.get(node.inputs[1])
    if weights is not None and weights.ndim == 2:
        _fully_connected(b, node, weights.T, None)
        return
    shape = b.shape(node.output)
    ranks = [len(b.shape(name)) for name in node.inputs]
    if min(ranks) < 2 or max(ranks) > MAX_MATRIX_RANK:
        raise CannotLowerError(f"matrices of rank {ranks[0]} and {ranks[1]}")
    operands, adjoint = zip(*(_matrix(b, name) for name in node.inputs), strict=True)
    options = {"adjX": adjoint[0], "adjY": adjoint[1]}
    b.emit(Kind.BATCH_MATMUL, node, operands, node.output, shape, Layout.ordered(shape, range(len(shape))), options=options)


def _matrix(b: Builder, name: str) -> tuple[str, bool]:
    """(the tensor of a value whose last two axes are a matrix, whether they lie the other way round)."""
    if name in b.graph.constants:
        return b.add_constant(name, b.graph.constants[name].astype(np.float32)), False
    shape = b.shape(name)
    swapped = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    if not b.placed(name).layout.is_ordered(range(len(shape))) and b.placed(name).layout.is_ordered(swapped):
        return b.view(b.placed(name).tensor, [shape[axis] for axis in swapped]), True
    b.reorder(name, range(len(shape)))
    return b.view(b.placed(name).tensor, shape), False


def _resize(b: Builder, node: Node) -> None:
    """Linear, over height and width alone; nearest ones are GATHERs before."""
    mode, corners = (_text(node.attrs.get(name, default)) for name, default in (("mode", "nearest"), _CORNERS))
    source, shape = b.shape(node.inputs[0]), b.shape(node.output)
    options = {"half_pixel": (False, True), "align_corners": (True, False), "asymmetric": (False, False)}
    options["pytorch_half_pixel"] = options["half_pixel"]
    if mode != "linear" or corners not in options or len(shape) != 4 or source[:2] != shape[:2] or node.attrs.get("antialias", 0):
        raise CannotLowerError(f"{mode} by {corners} from {source} to {shape}")
    align, half = options[corners]
    for size, wanted in zip(source[2:], shape[2:], strict=True):
        if wanted == 1 != size and corners in ("pytorch_half_pixel", "align_corners"):
            raise CannotLowerError(f"{corners} to one element")
        if int(bilinear_places(size, wanted, align, half)[0].max()) >= size:
            raise CannotLowerError(f"LiteRT reads past {size} elements for {wanted}")
    tensor = b.channels_last(node.inputs[0])
    layout = Layout.ordered(shape, channels_last_order(4))
    made = {"alignCorners": align, "halfPixelCenters": half}
    parameters = (np.array(shape[2:], np.int32),)
    b.emit(Kind.RESIZE_BILINEAR, node, [tensor], node.output, nhwc(shape), layout, options=made, parameters=parameters)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


_CORNERS = ("coordinate_transformation_mode", "half_pixel")
MAX_MATRIX_RANK = 5


def _fully_connected(b: Builder, node: Node, weights: Array, bias: Array | None) -> None:
    """A 1x1 convolution over the last axis; `weights` is [out, in]. The other axes become the width."""
    logical = b.shape(node.inputs[0])
    if np.prod(logical[:-1]) != 1:
        b.reorder(node.inputs[0], range(len(logical)))
    placed = b.placed(node.inputs[0])
    channels, positions = logical[-1], int(np.prod(logical[:-1]))
    if positions == 1:  # the columns follow the input's order in memory
        columns = placed.layout.to_memory(np.arange(channels).reshape(logical))
        weights = weights[:, columns]
    tensor = b.view(placed.tensor, (1, 1, positions, channels))
    value, activation = b.fused_activation(node)
    outputs = weights.shape[0]
    b.emit(
        Kind.CONV_2D,
        node,
        [tensor],
        value,
        (1, 1, positions, outputs),
        Layout.ordered(b.shape(node.output), range(len(logical))),
        options={"padding": "VALID", "strideH": 1, "strideW": 1, "fusedActivationFunction": activation},
        weights=weights.reshape(outputs, 1, 1, channels),
        bias=None if bias is None else np.broadcast_to(bias.reshape(-1), (outputs,)),
    )


def _reshape(b: Builder, node: Node) -> None:
    placed = b.placed(node.inputs[0])
    tensor, layout = placed.tensor, placed.layout.reshape(b.shape(node.output))
    if layout is None and placed.layout.channel_order is not None:  # a second shuffle, across the first one's groups
        tensor = b.channels_last(node.inputs[0])
        layout = Layout.channels_last(placed.layout.shape).reshape(b.shape(node.output))
    if layout is None:
        rank = len(placed.layout.shape)
        b.reorder(node.inputs[0], range(rank))
        tensor, layout = b.placed(node.inputs[0]).tensor, b.placed(node.inputs[0]).layout.reshape(b.shape(node.output))
    if layout is None:
        tensor = b.view(tensor, b.shape(node.output))
        layout = Layout.ordered(b.shape(node.output), range(len(b.shape(node.output))))
    b.place(node.output, tensor, layout)


def _transpose(b: Builder, node: Node) -> None:
    placed = b.placed(node.inputs[0])
    rank = len(placed.layout.shape)
    permutation = node.attrs.get("perm", tuple(reversed(range(rank))))
    b.place(node.output, placed.tensor, placed.layout.transpose(permutation))


def _concat(b: Builder, node: Node) -> None:
    order = channels_last_order(len(b.shape(node.output)))
    moving = [name for name in node.inputs if name not in b.graph.constants]
    is_map = len(order) in (3, 4) and all(b.placed(name).layout.channel_order is not None for name in moving)
    for name in node.inputs:
        if name in b.graph.constants:
            b.hold_constant(name, order if is_map else range(len(order)))
    layouts = [b.placed(name).layout for name in node.inputs]
    axis = node.attrs["axis"] % len(layouts[0].shape)
    size = b.shape(node.output)[axis]
    if len(order) in (3, 4) and all(layout.channel_order is not None for layout in layouts):
        tensors = [b.channels_last(name) for name in node.inputs]
        layout = Layout.ordered(b.shape(node.output), order)
        shape, dim = nhwc(b.shape(node.output)), _nhwc_dim(axis, len(order))
    else:
        spans = {layout.span(axis) for layout in layouts}
        if len({layout.without([axis]) for layout in layouts}) > 1 or len(spans) > 1 or None in spans:
            rank = len(order)
            for name in node.inputs:
                b.reorder(name, order if any(layout.channel_order for layout in layouts) else range(rank))
            layouts = [b.placed(name).layout for name in node.inputs]
            if rank in (3, 4) and all(layout.channel_order is not None for layout in layouts):
                _concat(b, node)
                return
        span = _span_of(layouts, axis)
        shape, dim = (1, span[0], size, span[1]), 2
        tensors = [b.view(b.placed(n).tensor, (1, span[0], b.shape(n)[axis], span[1])) for n in node.inputs]
        layout = next((layout for layout in layouts if layout.span(axis) is not None), layouts[0]).resize(axis, size)
    b.emit(Kind.CONCATENATION, node, tensors, node.output, shape, layout, options={"axis": dim})


def _span_of(layouts: list[Layout], axis: int) -> tuple[int, int]:
    """Elements before and after an axis in the memory of values that lie alike; of one whose size is 1 as of the others."""
    known = [span for span in (layout.span(axis) for layout in layouts) if span is not None]
    if known:
        return known[0]
    shape = layouts[0].shape
    return int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))


def _nhwc_dim(axis: int, rank: int) -> int:
    """The dimension of an NHWC tensor that holds a logical axis of [N, C, H, W] or [N, C, L]."""
    return (0, 3, 2)[axis] if rank == 3 else (0, 3, 1, 2)[axis]


def _slice(b: Builder, node: Node) -> None:
    source, rank = b.shape(node.inputs[0]), len(b.shape(node.inputs[0]))
    starts, ends = (b.constant(node, index, "bounds").tolist() for index in (1, 2))
    axes = b.constant(node, 3, "axes").tolist() if len(node.inputs) > 3 and node.inputs[3] else list(range(len(starts)))
    steps = b.constant(node, 4, "steps").tolist() if len(node.inputs) > 4 else [1] * len(starts)
    begin, stride = [0] * rank, [1] * rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        begin[axis % rank], _, stride[axis % rank] = slice(start, end, step).indices(source[axis % rank])
    axes = [axis for axis in range(rank) if source[axis] != b.shape(node.output)[axis]]
    if axes == [1] and len(b.placed(node.inputs[0]).layout.axes[1]) > 1 and b.placed(node.inputs[0]).layout.channel_order:
        _take_channels(b, node, begin[1] + stride[1] * np.arange(b.shape(node.output)[1]))
        return
    tensor, layout, where = _positions(b, node, axes)
    shape = list(b.tensor_shape(tensor))
    first, step_of = [0] * len(shape), [1] * len(shape)
    for axis, dim in where.items():
        shape[dim], first[dim], step_of[dim] = b.shape(node.output)[axis], begin[axis], stride[axis]
        layout = layout.without([axis]) if shape[dim] == 1 else layout.resize(axis, shape[dim])
    kind, bounds = Kind.SLICE, [first, shape]
    if set(step_of) != {1}:
        last = [f + (n - 1) * s + 1 for f, n, s in zip(first, shape, step_of, strict=True)]
        kind, bounds = Kind.STRIDED_SLICE, [first, last, step_of]
    b.emit(kind, node, [tensor], node.output, shape, layout, parameters=tuple(np.array(part, np.int32) for part in bounds))


def _gather(b: Builder, node: Node) -> None:
    """Elements of an axis."""
    value, rank = node.inputs[0], len(b.shape(node.inputs[0]))
    indices, axis = b.constant(node, 1, "indices"), node.attrs.get("axis", 0) % rank
    if indices.ndim != 1:
        raise CannotLowerError("its indices are no list")
    if axis == 1 and rank in (3, 4) and b.placed(value).layout.channel_order is not None:
        _take_channels(b, node, indices)
        return
    tensor, layout, where = _positions(b, node, [axis])
    (dim,) = where.values()
    shape = [len(indices) if i == dim else size for i, size in enumerate(b.tensor_shape(tensor))]
    taken = (indices % b.shape(value)[axis]).astype(np.int32)
    layout = layout.resize(axis, len(indices))
    b.emit(Kind.GATHER, node, [tensor], node.output, shape, layout, options={"axis": dim}, parameters=(taken,))


def _take_channels(b: Builder, node: Node, indices: Array) -> None:
    """Channels of a map in a GATHER; an equal number of them stays in the order in which the map's channels lie."""
    value = node.inputs[0]
    tensor, order = b.shuffled_channels_last(value)
    taken = indices % len(order)
    layout = b.placed(value).layout
    if len(taken) == len(order):
        taken = taken[np.array(order)]
    else:
        layout = Layout.channels_last(b.shape(node.output))
    places = [order.index(int(channel)) for channel in taken]
    b.place(node.output, b.gather(node, tensor, places, node.output, layout), layout)


def _positions(b: Builder, node: Node, axes: list[int]) -> tuple[str, Layout, dict[int, int]]:
    """(tensor, layout, dimension of each axis) for an operator that changes the size of some axes of its first input."""
    value = node.inputs[0]
    layout = b.placed(value).layout
    rank = len(layout.shape)
    is_scattered = any(len(layout.axes[axis]) > 1 for axis in axes)
    if rank in (3, 4) and (layout.is_ordered(channels_last_order(rank)) or (is_scattered and layout.channel_order)):
        return b.channels_last(value), Layout.channels_last(layout.shape), {axis: _nhwc_dim(axis, rank) for axis in axes}
    if is_scattered:
        b.reorder(value, channels_last_order(rank) if rank == 4 else range(rank))
        return _positions(b, node, axes)
    if any(not layout.axes[axis] for axis in axes):  # an axis of 1 has a place only where all have
        b.reorder(value, range(rank))
        tensor = b.view(b.placed(value).tensor, b.shape(value))
        return tensor, b.placed(value).layout, {axis: axis for axis in axes}
    tensor, dims = b.isolated(value, axes)
    if any(dims.count({axis}) != 1 for axis in axes):  # the height and the width of a map may be one axis
        tensor = b.view(tensor, layout.sizes)
        dims = layout.axes_of_dims(layout.sizes) or []
    return tensor, layout, {axis: dims.index({axis}) for axis in axes}


def _pad(b: Builder, node: Node) -> None:
    mode = node.attrs.get("mode", b"constant")
    if mode not in (b"constant", "constant"):
        raise CannotLowerError(f"mode {mode.decode() if isinstance(mode, bytes) else mode}; only zeros can be padded")
    if len(node.inputs) > 2 and node.inputs[2] and b.constant(node, 2, "padded values").any():
        raise CannotLowerError("only zeros can be padded")
    pads = b.constant(node, 1, "paddings").tolist()
    rank = len(b.shape(node.inputs[0]))
    axes = b.constant(node, 3, "axes").tolist() if len(node.inputs) > 3 and node.inputs[3] else list(range(rank))
    if min(pads) < 0:
        raise CannotLowerError("a negative padding; use a slice")
    around = {axis % rank: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes) if pads[i] or pads[i + len(axes)]}
    tensor, layout, where = _positions(b, node, list(around))
    paddings = np.zeros((len(b.tensor_shape(tensor)), 2), np.int32)
    for axis, dim in where.items():
        paddings[dim] = around[axis]
        layout = layout.resize(axis, b.shape(node.output)[axis])
    shape = [size + before + after for size, (before, after) in zip(b.tensor_shape(tensor), paddings.tolist(), strict=True)]
    b.emit(Kind.PAD, node, [tensor], node.output, shape, layout, parameters=(paddings,))


_HANDLERS: dict[str, Callable[[Builder, Node], None]] = {
    "Conv": lower_conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Relu": _unary(Kind.RELU),
    "LeakyRelu": _leaky_relu,
    "Tanh": _unary(Kind.TANH),
    "Clip": _clip,
    "Min": _minimum,
    "PRelu": _prelu,
    "Resize": _resize,
    "HardSwish": _unary(Kind.HARD_SWISH),
    "Sigmoid": _unary(Kind.LOGISTIC),
    "Softmax": _softmax,
    "ReduceMean": _reduce(Kind.MEAN, keep_dims=True),
    "ReduceMax": _reduce(Kind.REDUCE_MAX, keep_dims=False),
    "ReduceMin": _reduce(Kind.REDUCE_MIN, keep_dims=False),
    "Add": _binary(Kind.ADD),
    "Sub": _binary(Kind.SUB),
    "Mul": _mul,
    "Max": _maximum,
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "MaxPool": lower_max_pool,
    "AveragePool": lower_average_pool,
    "Reshape": _reshape,
    "Transpose": _transpose,
}
