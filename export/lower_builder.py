"""What the lowering of every ONNX operator needs: values with their layouts, free views, fused activations, problems by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .float_graph import Array, FloatGraph, FloatOp, FloatTensor, Kind
from .layout import Layout, channels_last_order
from .onnx_graph import Node, OnnxGraph
from .onnx_nodes import clamp_of, saturates
from .pointwise import pointwise_functions

MAX_RANK = 6  # of a TRANSPOSE


class CannotLowerError(Exception):
    """A node that no TFLite operator covers; the driver collects them. The text says what and, if known, what instead."""


@dataclass(frozen=True)
class Placed:
    """An ONNX value in the lowered network: the tensor that holds it, and how."""

    tensor: str
    layout: Layout


class Builder:
    """A lowered network under construction."""

    def __init__(self, graph: OnnxGraph):
        self.graph = graph
        self.tables, self.inside_tables = pointwise_functions(graph)
        self.table_sources = frozenset(function.source for function in self.tables.values())
        self.uses = graph.uses()
        self.producers = graph.producers()
        self.fused: set[str] = set()  # activation nodes that their producers took in, by output
        self._readers = {name: node for node in graph.nodes for name in node.inputs}
        self._placed: dict[str, Placed] = {}
        self._inputs: list[str] = []
        self._tensors: dict[str, FloatTensor] = {}
        self._ops: list[FloatOp] = []
        self.known_reductions: dict[tuple[Kind, str, tuple[int, ...]], str] = {}  # (kind, tensor, dimensions) -> tensor
        self._pads: dict[tuple[str, bytes], str] = {}
        self._views: dict[tuple[str, tuple[int, ...]], str] = {}
        self._gathered: dict[tuple[str, tuple[int, ...]], str] = {}  # (tensor, channels) -> tensor

    # --- values and constants of the ONNX graph

    def placed(self, value: str) -> Placed:
        """Where an ONNX value is."""
        if value not in self._placed and value in self.graph.constants:
            raise CannotLowerError("an operand is constant")
        return self._placed[value]

    def hold_constant(self, value: str, order: Sequence[int]) -> None:
        """Place a constant as a value whose axes lie in `order`."""
        data = np.asarray(self.graph.constants[value], np.float32)
        layout = Layout.ordered(data.shape, order)
        self._placed[value] = Placed(self.add_constant(value, np.ascontiguousarray(data.transpose(order))), layout)

    def constant(self, node: Node, index: int, what: str) -> Array:
        """A constant input of a node."""
        if len(node.inputs) <= index or node.inputs[index] not in self.graph.constants:
            raise CannotLowerError(f"its {what} are not constant")
        return self.graph.constants[node.inputs[index]]

    def shape(self, value: str) -> tuple[int, ...]:
        return self.graph.constants[value].shape if value in self.graph.constants else self.graph.shapes[value]

    def place(self, value: str, tensor: str, layout: Layout) -> None:
        """Say where a value is; maps in N, H, W, C order get a tensor of that shape at once."""
        if len(layout.shape) == 4 and layout.is_ordered((0, 2, 3, 1)):
            tensor = self.view(tensor, nhwc(layout.shape), value, layout)
        self._placed[value] = Placed(tensor, layout)

    def fused_activation(self, node: Node) -> tuple[str, str]:
        """(value, fused activation) of an operator that can clamp: of its only reader, when that is a Relu or a Clip from 0."""
        reader = self._readers.get(node.output) if self.uses[node.output] == 1 else None
        if reader is None or node.output in self.graph.outputs or node.output in self.table_sources:
            return node.output, "NONE"
        activation = clamp_of(reader, self.graph)
        if activation is None:
            return node.output, "NONE"
        self.fused.add(reader.output)
        return reader.output, activation

    def saturates(self, value: str | None) -> bool:
        """Whether a value is a Clip's output whose bounds are left to its int8 range."""
        node = self.producers.get(value or "")
        return node is not None and saturates(node, self.graph)

    # --- tensors and operators of the lowered network

    def tensor_shape(self, tensor: str) -> tuple[int, ...]:
        return self._tensors[tensor].shape

    def add_input(self, value: str) -> None:
        order = self._order_of_input(value)
        layout = Layout.ordered(self.shape(value), order)
        shape = tuple(layout.shape[axis] for axis in order)
        if len(shape) == 3:
            shape = (shape[0], 1, *shape[1:])
        self._placed[value] = Placed(self._new_tensor(value, shape, value, layout), layout)
        self._inputs.append(self._placed[value].tensor)

    def _order_of_input(self, value: str) -> tuple[int, ...]:
        """How an input lies in memory: channels last, also where the model takes them so and transposes them itself."""
        rank = len(self.shape(value))
        order = channels_last_order(rank)
        to_channels_first = tuple(order.index(axis) for axis in range(rank))
        readers = [node for node in self.graph.nodes if value in node.inputs]
        is_last = all(node.op == "Transpose" and tuple(node.attrs.get("perm", ())) == to_channels_first for node in readers)
        return tuple(range(rank)) if rank >= 3 and readers and is_last else order

    def add_constant(self, name: str, data: Array) -> str:
        return self._new_tensor(name, data.shape, None, None, data)

    def view(self, tensor: str, shape: Sequence[int], value: str | None = None, layout: Layout | None = None) -> str:
        """The tensor under another shape: a RESHAPE, which moves nothing."""
        shape = tuple(shape)
        source = self._tensors[tensor]
        if source.shape == shape:
            return tensor
        while self._viewed_from(tensor) is not None:  # a view of a view is a view of the first
            tensor = self._viewed_from(tensor) or tensor
        if self._tensors[tensor].shape == shape:
            return tensor
        key = (tensor, shape)
        if key not in self._views:
            output = self._new_tensor(value or source.name, shape, value or source.value, layout or source.layout)
            self._ops.append(FloatOp(Kind.RESHAPE, (tensor,), output, "", {"newShape": shape}))
            self._views[key] = output
        return self._views[key]

    def emit(
        self,
        kind: Kind,
        node: Node,
        inputs: Sequence[str],
        value: str | None,
        shape: Sequence[int],
        layout: Layout | None = None,
        **more: Any,
    ) -> str:
        """A new operator's output tensor, which holds `value` (None: no ONNX value)."""
        name = value or f"{inputs[0]}/{kind.value.lower()}"
        output = self._new_tensor(name, tuple(int(size) for size in shape), value, layout)
        self._ops.append(FloatOp(kind, tuple(inputs), output, node.label, saturates=self.saturates(value), **more))
        if value is not None and layout is not None:
            self.place(value, output, layout)
        return output

    def pad_once(self, node: Node, tensor: str, shape: Sequence[int], paddings: Array) -> str:
        """The tensor padded with zeros; equal paddings of one tensor are one operator."""
        key = (tensor, paddings.tobytes())
        if key not in self._pads:
            self._pads[key] = self.emit(Kind.PAD, node, [tensor], None, shape, parameters=(paddings,))
        return self._pads[key]

    def _viewed_from(self, tensor: str) -> str | None:
        return next((source for (source, _), view in self._views.items() if view == tensor), None)

    def _new_tensor(
        self, name: str, shape: tuple[int, ...], value: str | None, layout: Layout | None, data: Array | None = None
    ) -> str:
        unique, number = name, 1
        while unique in self._tensors:
            unique, number = f"{name}/{number}", number + 1
        self._tensors[unique] = FloatTensor(unique, shape, value, layout, data)
        return unique

    def reorder(self, value: str, order: Sequence[int]) -> None:
        """Lay a value's axes out in `order`, slowest first: a TRANSPOSE, unless they lie so."""
        placed = self.placed(value)
        wanted = Layout.ordered(placed.layout.shape, order)
        if placed.layout == wanted:
            return
        shape, permutation = placed.layout.moved_to(order)
        if len(shape) > MAX_RANK:
            raise CannotLowerError(f"a TRANSPOSE over {len(shape)} axes")
        source, parameters = self.view(placed.tensor, shape), (np.array(permutation, np.int32),)
        output = self._new_tensor(value, tuple(shape[axis] for axis in permutation), value, wanted)
        self._ops.append(FloatOp(Kind.TRANSPOSE, (source,), output, self._origin(value).label, parameters=parameters))
        self.place(value, self.view(output, [placed.layout.shape[axis] for axis in order], value, wanted), wanted)

    # --- values in the order and shape that an operator asks for

    def channels_last(self, value: str) -> str:
        """A map [N, C, H, W] or [N, C, L] as an NHWC tensor (H = 1 for the latter); a GATHER where its channels are shuffled."""
        layout = self.placed(value).layout
        return self.in_layout(value, Layout.ordered(layout.shape, channels_last_order(len(layout.shape))))

    def shuffled_channels_last(self, value: str) -> tuple[str, tuple[int, ...]]:
        """The same without the GATHER: (NHWC tensor, the channel at each of its places)."""
        if self.placed(value).layout.channel_order is None and len(self.shape(value)) in (3, 4):
            self.reorder(value, channels_last_order(len(self.shape(value))))
        placed = self.placed(value)
        order = placed.layout.channel_order
        if order is None:
            raise CannotLowerError(f"its input {value!r} is no map")
        return self.view(placed.tensor, nhwc(placed.layout.shape)), order

    def in_layout(self, value: str, layout: Layout) -> str:
        """The NHWC tensor of a map in another order of its channels."""
        tensor, found = self.shuffled_channels_last(value)
        wanted = layout.channel_order
        assert wanted is not None
        taken = tuple(found.index(channel) for channel in wanted)
        if taken == tuple(range(len(taken))):
            return tensor
        if (tensor, taken) not in self._gathered:
            self._gathered[tensor, taken] = self.gather(self._origin(value), tensor, taken, value, layout)
        return self._gathered[tensor, taken]

    def gather(self, node: Node, tensor: str, taken: Sequence[int], value: str, layout: Layout) -> str:
        """A GATHER of an NHWC tensor's channels that holds `value`, whose place it leaves alone."""
        shape = (*self.tensor_shape(tensor)[:3], len(taken))
        output = self._new_tensor(value, shape, value, layout)
        indices = np.array(taken, np.int32)
        self._ops.append(FloatOp(Kind.GATHER, (tensor,), output, node.label, {"axis": 3}, parameters=(indices,)))
        return output

    def _origin(self, value: str) -> Node:
        """The node that messages name for what is done to a value: its producer, or the first that reads a graph's input."""
        return self.producers.get(value) or self._readers[value]

    def isolated(self, value: str, axes: Sequence[int]) -> tuple[str, list[set[int]]]:
        """(tensor, logical axes of each dimension), where no dimension mixes the given axes with others or with each other."""
        placed = self.placed(value)
        shape = self.tensor_shape(placed.tensor)
        dims = placed.layout.axes_of_dims(shape)
        if dims is not None and _separates(dims, axes):
            return placed.tensor, dims
        shape = _run_shape(placed.layout, axes)
        dims = placed.layout.axes_of_dims(shape)
        assert dims is not None
        return self.view(placed.tensor, shape), dims

    def finish(self) -> FloatGraph:
        """The network without operators that nothing reads."""
        outputs = []
        for value in self.graph.outputs:
            placed = self.placed(value)
            rank = len(placed.layout.shape)
            is_row_major = rank <= 3 and placed.layout.is_ordered(range(rank))
            if not is_row_major and placed.layout.channel_order is None:
                self.reorder(value, channels_last_order(rank) if rank > 3 else range(rank))
                placed = self.placed(value)
            tensor = placed.tensor
            if rank <= 3 and placed.layout.is_ordered(range(rank)):
                tensor = self.view(tensor, placed.layout.shape)
            elif placed.layout.channel_order is not None:
                tensor = self.channels_last(value)
            outputs.append(tensor)
        return FloatGraph(self._tensors, (), tuple(self._inputs), tuple(outputs)).with_ops(self._ops)


def nhwc(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """The NHWC shape of [N, C, H, W], and of [N, C, L] with H = 1."""
    if len(shape) == 3:
        return shape[0], 1, shape[2], shape[1]
    if len(shape) != 4:
        raise CannotLowerError(f"a value of rank {len(shape)} is not a map")
    return shape[0], shape[2], shape[3], shape[1]


def _separates(dims: Sequence[set[int]], axes: Sequence[int]) -> bool:
    """Whether each dimension runs over one of `axes` alone or over none of them."""
    return all(len(touched) == 1 or not touched.intersection(axes) for touched in dims)


def _run_shape(layout: Layout, axes: Sequence[int]) -> tuple[int, ...]:
    """A shape of rank 4 or more with a dimension for each part of `axes`, everything between in as few as possible.

    [N, m, h, H, W] with memory H, W, m, h and the axis of the heads becomes [1, H * W, m, h].
    """
    owner = [axis for axis, atoms in enumerate(layout.axes) for _ in atoms]
    runs: list[tuple[bool, list[int]]] = []
    for size, atom in zip(layout.sizes, layout.memory, strict=True):
        special = owner[atom] in axes
        if special or not runs or runs[-1][0]:
            runs.append((special, [size]))
        else:
            runs[-1][1].append(size)
    shape: list[int] = []
    for index, (special, sizes) in enumerate(runs):
        spare = 3 - len(runs)  # dimensions of a rank 4 that nothing else needs (one is the batch's)
        if not special and len(sizes) > 1 and spare > 0 and index == 0:
            shape += [math.prod(sizes[:-1]), sizes[-1]]
        else:
            shape.append(math.prod(sizes))
    return (1,) * (4 - len(shape)) + tuple(shape)


def constant_operand(layout: Layout, dims: Sequence[set[int]], shape: Sequence[int], constant: Array) -> Array:
    """A constant that broadcasts to a value's logical shape, in that value's memory order and as few elements as it has."""
    logical = constant.reshape((1,) * (len(layout.shape) - constant.ndim) + constant.shape)
    broadcast = [axis for axis, size in enumerate(logical.shape) if size == 1 and layout.shape[axis] > 1]
    stored = layout.without(broadcast).to_memory(np.asarray(logical))
    return stored.reshape(broadcast_shape(dims, shape, broadcast))


def broadcast_shape(dims: Sequence[set[int]], shape: Sequence[int], broadcast: Sequence[int]) -> tuple[int, ...]:
    """A physical shape with 1 in the dimensions that run over the broadcast axes."""
    return tuple(1 if touched and touched <= set(broadcast) else size for touched, size in zip(dims, shape, strict=True))
