"""Which channels of a tensor are always equal to each other: two that are made of equal channels in the same way.

Numbers of values, from the inputs on: channels with one number have one value for every input. A convolution's weights are summed
over the input channels that are equal before its rows are compared. A variable's channels are equal while both their start values
and what is assigned to them are.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import numpy.typing as npt

from ..ir import Graph, Op, OpKind
from ..reference import channel_factors
from .channels import constant_channels, links_of, weights_by_channel
from .intervals import Bounds, bias_of, channels_of

Int64 = npt.NDArray[np.int64]


def equal_channels(graph: Graph, bounds: Mapping[str, Bounds]) -> dict[str, Int64]:
    """For each activation and each of its channels: the first channel that is always equal to it, itself where none is."""
    state = {v.before: _first_of([column.tobytes() for column in _columns(v.start)]) for v in graph.variables}
    while True:
        found = _Numbers(graph, bounds, state).first
        refined = {v.before: _refined(state[v.before], found[v.after]) for v in graph.variables}
        if all(np.array_equal(refined[name], first) for name, first in state.items()):
            return found
        state = refined


def _refined(first: Int64, after: Int64) -> Int64:
    return _first_of([*zip(first.tolist(), after.tolist(), strict=True)])


def _columns(values: npt.NDArray[np.generic]) -> list[npt.NDArray[np.generic]]:
    """[channels] of values along all other axes."""
    return list(values.reshape(-1, values.shape[-1] if values.shape else 1).T)


def _first_of(keys: list[Hashable]) -> Int64:
    """For each key the place of the first that is equal."""
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(key, i) for i, key in enumerate(keys)], np.int64)


class _Numbers:
    """The channels of a graph, numbered within each tensor by the first that is equal; `state` as assumed of the variables."""

    def __init__(self, graph: Graph, bounds: Mapping[str, Bounds], state: Mapping[str, Int64]):
        self._graph, self._bounds = graph, bounds
        self.first: dict[str, Int64] = {}
        for name in graph.given:
            self._number(name, [*(state[name].tolist() if name in state else range(channels_of(graph.tensor(name))))])
        for op in graph.ops:
            for name in op.outputs:
                self._number(name, self._keys(op, name))

    def _number(self, name: str, keys: list[Hashable]) -> None:
        """Equal keys are equal channels, and so are two with the same constant."""
        constant = constant_channels(name, self._graph, self._bounds)
        low, _ = self._bounds[name].of(len(constant))
        self.first[name] = _first_of([("value", int(low[c])) if constant[c] else key for c, key in enumerate(keys)])

    def _keys(self, op: Op, name: str) -> list[Hashable]:
        count = channels_of(self._graph.tensor(name))
        weights = weights_by_channel(op, self._graph)
        if weights is not None:
            return self._rows(op, weights)
        links = links_of(op, self._graph) if len(op.outputs) == 1 else None
        if links is None:
            return list(range(count))
        made_of: list[list[tuple[str, int]]] = [[] for _ in range(count)]
        for link in links:
            for source, result in zip(link.sources.tolist(), link.results.tolist(), strict=True):
                made_of[result].append((link.input, int(self.first[link.input][source])))
        return [(*sources, more) for sources, more in zip(made_of, self._more(op, count), strict=True)]

    def _rows(self, op: Op, weights: npt.NDArray[np.generic]) -> list[Hashable]:
        """Weights, bias and factor of each output channel."""
        first = self.first[op.inputs[0]]
        numbers, places = np.unique(first, return_inverse=True)
        is_one_each = len(numbers) == len(first)
        summed = weights if is_one_each else weights.astype(np.int64) @ np.eye(len(numbers), dtype=np.int64)[places]
        bias, factors = bias_of(op, self._graph).tolist(), channel_factors(op, self._graph).tolist()
        return [(row.tobytes(), *scale) for row, *scale in zip(summed, bias, factors, strict=True)]

    def _more(self, op: Op, count: int) -> list[Hashable]:
        """What a channel is made with, beside other channels."""
        if op.kind is OpKind.DEPTHWISE_CONV_2D:
            filters = [column.tobytes() for column in _columns(self._graph.tensor(op.inputs[1]).constant())]
            bias, factors = bias_of(op, self._graph).tolist(), channel_factors(op, self._graph).tolist()
            return list(zip(filters, bias, factors, strict=True))
        if op.kind is OpKind.RESHAPE:
            before = channels_of(self._graph.tensor(op.inputs[0]))
            return [channel // before for channel in range(count)]
        constants = [self._graph.tensor(n).constant() for n in op.inputs if self._graph.tensor(n).is_constant]
        wide = [_columns(values) for values in constants if values.shape[-1:] == (count,)]
        return [tuple(columns[channel].tobytes() for columns in wide) for channel in range(count)]
