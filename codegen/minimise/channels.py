"""Which channels have to be computed: those that something live reads, unless they are constants that their readers can fold.

The set grows from the graph's inputs and outputs until nothing more is asked for, so it is the smallest that is closed. Where an
operator makes channel j of its output of channel i of its input, j asks for i; and where it takes all channels of its input, as
an ADD does, i brings j with it, so that a residual's maps lose a channel together or not at all. A variable has the same
channels before and after an inference, and the groups of a convolution have as many each, or none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..ir import (
    TABLE_KINDS,
    ConcatAttrs,
    ConvAttrs,
    GatherAttrs,
    Graph,
    Op,
    OpKind,
    PadAttrs,
    ReduceAttrs,
    SliceAttrs,
    TransposeAttrs,
    conv_groups,
)
from .intervals import Bounds, channels_of, data_operands, taps_on_map, works_on_int8

Mask = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]

ELEMENTWISE = frozenset({OpKind.ADD, OpKind.SUB, OpKind.MUL, OpKind.MAXIMUM, OpKind.MINIMUM, OpKind.SQUARED_DIFFERENCE})
_CHANNEL_BY_CHANNEL = frozenset({OpKind.AVERAGE_POOL_2D, OpKind.MAX_POOL_2D, *TABLE_KINDS})
REMOVABLE = frozenset({OpKind.CONV_2D, OpKind.FULLY_CONNECTED, OpKind.DEPTHWISE_CONV_2D, OpKind.SOFTMAX, OpKind.MEAN})
REMOVABLE |= ELEMENTWISE | _CHANNEL_BY_CHANNEL | {OpKind.REDUCE_MAX, OpKind.REDUCE_MIN, OpKind.CONCATENATION}
REMOVABLE |= {OpKind.SLICE, OpKind.STRIDED_SLICE, OpKind.GATHER, OpKind.TRANSPOSE, OpKind.PAD, OpKind.RESHAPE}
REMOVABLE |= {OpKind.ASSIGN_VARIABLE}


@dataclass(frozen=True, eq=False)
class Link:
    """Channel results[i] of an operator's output is made of channel sources[i] of one input.

    takes_all  the operator takes whatever of `sources` its input has
    """

    input: str
    sources: Int64
    results: Int64
    takes_all: bool = True


def links_of(op: Op, graph: Graph) -> tuple[Link, ...] | None:
    """How an operator's channels depend on those of its activations; None where each depends on all (or we do not know)."""
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    before, after = channels_of(source), channels_of(output)
    last = len(source.shape) - 1
    own = np.arange(after)
    if not works_on_int8(op, graph) or not source.shape or not output.shape:
        return None
    if op.kind not in ELEMENTWISE and any(graph.tensor(name).is_constant for name in data_operands(op)):
        return None
    if op.kind in ELEMENTWISE:
        operands = [graph.tensor(name) for name in op.inputs if not graph.tensor(name).is_constant]
        wide = [channels_of(operand) == after for operand in operands]
        return tuple(Link(t.name, own if w else 0 * own, own, w) for t, w in zip(operands, wide, strict=True))
    if op.kind is OpKind.DEPTHWISE_CONV_2D and isinstance(op.attrs, ConvAttrs):
        return (Link(source.name, own // op.attrs.depth_multiplier, own),)
    if op.kind is OpKind.RESHAPE and (after % before == 0 or before % after == 0):
        elements = np.arange(max(before, after))
        return (Link(source.name, elements % before, elements % after),)
    if isinstance(op.attrs, ConcatAttrs):
        if op.attrs.axis != last:
            return tuple(Link(name, own, own) for name in op.inputs)
        sizes = [channels_of(graph.tensor(name)) for name in op.inputs]
        parts = np.split(own, np.cumsum(sizes)[:-1])
        return tuple(Link(name, np.arange(len(part)), part) for name, part in zip(op.inputs, parts, strict=True))
    if isinstance(op.attrs, SliceAttrs) and (op.attrs.strides[-1] == 1 or after == 1):
        return (Link(source.name, op.attrs.begin[-1] + op.attrs.strides[-1] * own, own),)
    if isinstance(op.attrs, GatherAttrs):
        if op.attrs.axis == last:
            return (Link(source.name, np.array(op.attrs.indices, np.int64), own, takes_all=False),)
        return (Link(source.name, own, own),)
    keeps_channels = (
        op.kind in (*_CHANNEL_BY_CHANNEL, OpKind.ASSIGN_VARIABLE)
        or (isinstance(op.attrs, PadAttrs) and not op.attrs.before[-1] and not op.attrs.after[-1])
        or (isinstance(op.attrs, ReduceAttrs) and last not in op.attrs.axes)
        or (isinstance(op.attrs, TransposeAttrs) and op.attrs.permutation[-1] == last)
    )
    return (Link(source.name, own, own),) if keeps_channels else None


def weights_by_channel(op: Op, graph: Graph) -> npt.NDArray[np.generic] | None:
    """[c_out, taps, c_in]: weights of a CONV_2D or FULLY_CONNECTED, 0 outside of a channel's group; None of any other."""
    if op.kind not in (OpKind.CONV_2D, OpKind.FULLY_CONNECTED) or not works_on_int8(op, graph):
        return None
    if graph.tensor(op.inputs[0]).is_constant or not graph.tensor(op.output).shape:
        return None
    weights, channels = graph.tensor(op.inputs[1]).constant(), channels_of(graph.tensor(op.inputs[0]))
    if op.kind is OpKind.CONV_2D:
        groups, share = conv_groups(op, graph), weights.shape[3]
        if groups == 1:
            return weights.reshape(len(weights), -1, channels)
        full = np.zeros((groups, len(weights) // groups, weights.shape[1] * weights.shape[2], groups, share), weights.dtype)
        for group, own in enumerate(np.split(weights, groups)):
            full[group, :, :, group] = own.reshape(len(own), -1, share)
        return full.reshape(len(weights), -1, channels)
    return weights.reshape(len(weights), -1, channels) if weights.shape[1] % channels == 0 else None


def kept_channels(graph: Graph, bounds: Mapping[str, Bounds], equal: Mapping[str, Int64] | None = None) -> dict[str, Mask]:
    """For each activation: which of its channels a graph has to compute that gives the same outputs.

    equal  as `equal_channels` finds them: where the weights of a reader can be added up, one of them is enough
    """
    return _Demand(graph, bounds, equal or {}).closed()


def constant_channels(name: str, graph: Graph, bounds: Mapping[str, Bounds]) -> Mask:
    """Which channels of an activation have one value for every input."""
    low, high = bounds[name].of(channels_of(graph.tensor(name)))
    constant: Mask = low == high
    return constant


class _Demand:
    """The channels asked for so far, and the operators that have to be looked at again."""

    def __init__(self, graph: Graph, bounds: Mapping[str, Bounds], equal: Mapping[str, Int64]):
        self._graph, self._bounds, self._equal = graph, bounds, equal
        self._kept = {t.name: np.zeros(channels_of(t), np.bool_) for t in graph.activations()}
        self._same: dict[str, str] = {}  # a variable's value before an inference, and after it
        for variable in graph.variables:
            self._same |= {variable.before: variable.after, variable.after: variable.before}
        self._touching: dict[str, list[Op]] = {}
        for op in graph.ops:
            for name in {*op.inputs, *op.outputs}:
                self._touching.setdefault(name, []).append(op)
        self._waiting: deque[Op] = deque()
        self._is_waiting: set[str] = set()

    def closed(self) -> dict[str, Mask]:
        for name in (*self._graph.inputs, *self._graph.outputs):
            self._ask_all(name)
        for op in self._graph.ops:
            if op.kind not in REMOVABLE:
                self._ask_all(*op.outputs)
        while self._waiting:
            op = self._waiting.popleft()
            self._is_waiting.discard(op.output)
            self._look_at(op)
        return self._kept

    def _ask_all(self, *names: str) -> None:
        for name in names:
            if name in self._kept:
                self._ask(name, np.ones_like(self._kept[name]))

    def _ask(self, name: str, channels: Mask) -> None:
        kept = self._kept[name]
        if (channels & ~kept).any():
            self._kept[name] = kept | channels
            for op in reversed(self._touching.get(name, ())):
                if op.output not in self._is_waiting:
                    self._is_waiting.add(op.output)
                    self._waiting.append(op)
            if name in self._same:
                self._ask(self._same[name], channels)

    def _look_at(self, op: Op) -> None:
        """What an operator asks of its inputs for the channels asked of its output, and which of these come with them."""
        if not any(self._kept[name].any() for name in op.outputs):
            return
        weights = weights_by_channel(op, self._graph)
        if weights is not None:
            self._ask_weighted(op, weights)
            return
        links = links_of(op, self._graph)
        if links is None:
            self._ask_all(*op.inputs, *op.outputs)
            return
        for link in links:
            wanted = np.zeros_like(self._kept[link.input])
            wanted[link.sources[self._kept[op.output][link.results]]] = True
            self._ask(link.input, wanted)
        for link in links:
            if link.takes_all:
                coming = np.zeros_like(self._kept[op.output])
                coming[link.results[self._kept[link.input][link.sources]]] = True
                self._ask(op.output, coming)

    def _ask_weighted(self, op: Op, weights: npt.NDArray[np.generic]) -> None:
        source = op.inputs[0]
        wanted = reading_of(op, weights, self._graph, self._bounds, self._kept[op.output], self._equal.get(source)).wanted
        groups = groups_of(op, self._graph)
        if groups == 1:
            if not wanted.any() and not self._kept[source].any():
                wanted[0] = True  # an operator needs an input
            self._ask(source, wanted)
            return
        inputs = (self._kept[source] | wanted).reshape(groups, -1)
        outputs = self._kept[op.output].reshape(groups, -1)
        active: Mask = np.asarray(np.concatenate([inputs, outputs], axis=1).any(axis=1))
        self._ask(source, _as_many(inputs, active).reshape(-1))
        self._ask(op.output, _as_many(outputs, active).reshape(-1))


def groups_of(op: Op, graph: Graph) -> int:
    """The groups of a CONV_2D, 1 of any other operator."""
    return conv_groups(op, graph) if op.kind is OpKind.CONV_2D else 1


def _as_many(kept: Mask, active: Mask) -> Mask:
    """Channels [groups, channels of each] that are kept, and the first others, until all active groups have as many."""
    count = max(1, int(kept.sum(axis=1).max()))
    spare = np.cumsum(~kept, axis=1)
    more: Mask = kept | (~kept & (spare <= count - kept.sum(axis=1, keepdims=True)))
    return more & active[:, np.newaxis]


@dataclass(frozen=True, eq=False)
class Reading:
    """How a CONV_2D or FULLY_CONNECTED can read its input.

    weights  [c_out, taps, c_in], those of channels that are equal added up where they fit; int64
    wanted   [c_in], the channels that it needs; the others have weights of 0, or are constants for the bias
    """

    weights: Int64
    wanted: Mask


MOST_WEIGHT = 127  # -128 beside another one costs kernels room


def reading_of(
    op: Op,
    weights: npt.NDArray[np.generic],
    graph: Graph,
    bounds: Mapping[str, Bounds],
    kept: Mask,
    equal: Int64 | None,
) -> Reading:
    """What an operator asks for whose output channels `kept` are computed.

    A channel is asked for by the weights of outputs that can change, unless it is a constant for the bias, or equal to one whose
    weights can take up its own.
    """
    rows = kept & ~constant_channels(op.output, graph, bounds)
    summed = weights.astype(np.int64)
    constant = constant_channels(op.inputs[0], graph, bounds)

    def asked() -> Mask:
        changing = summed[rows] != 0
        wanted: Mask = changing.any(axis=(0, 1))
        if constant.any():
            is_nothing = bounds[op.inputs[0]].of(len(constant))[0] == graph.tensor(op.inputs[0]).zero_point  # as the padding is
            at_the_border = changing[:, padded_taps(op, graph)].any(axis=(0, 1))
            wanted &= ~constant | (~is_nothing & at_the_border)
        return wanted

    wanted = asked()
    copies = (
        [] if equal is None or groups_of(op, graph) > 1 else np.flatnonzero(wanted & (equal != np.arange(len(equal)))).tolist()
    )
    for copy in copies:
        assert equal is not None
        total = summed[:, :, equal[copy]] + summed[:, :, copy]
        if np.abs(total[rows]).max(initial=0) <= MOST_WEIGHT:
            summed[:, :, equal[copy]], summed[:, :, copy] = total, 0
    return Reading(summed, asked() if copies else wanted)


def padded_taps(op: Op, graph: Graph) -> Mask:
    """[taps]: which taps of the window lie in the padding at some position of the output."""
    if not isinstance(op.attrs, ConvAttrs):
        return np.zeros(1, np.bool_)
    _, height, width, _ = graph.tensor(op.inputs[0]).shape
    on_map = [taps_on_map(size, op.attrs.window, axis).all(axis=0, keepdims=True) for axis, size in enumerate((height, width))]
    padded: Mask = ~(on_map[0].T & on_map[1]).reshape(-1)
    return padded
