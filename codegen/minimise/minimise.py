"""Remove from a graph what is computed for nothing, with a certificate of what went and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..ir import Graph, macs
from ..verify_graph import verify_graph
from .bypass import bypass
from .certificate import Certificate, EqualChannels, NarrowedTensor, RemovedChannel
from .channels import Int64, Mask, kept_channels
from .contract import require_contract
from .equal_channels import equal_channels
from .intervals import Bounds, channels_of, graph_bounds, is_analysable, state_intervals
from .narrow import narrowed
from .simplify import with_tables, without_clamps

WORTH = 0.01  # of the multiply-accumulates or of the constants' bytes: for less, layers of odd sizes may cost what they save


@dataclass(frozen=True, eq=False)
class Minimised:
    """A graph that gives the same outputs, and what it lacks of the one that was read."""

    graph: Graph
    certificate: Certificate


def minimise(source: Graph) -> Minimised:
    """The graph of cheaper operators, without channels that never change, what nothing live reads and what changes nothing.

    Each change is proven by a contract (`require_simplified`, `require_contract`, `require_bypass`). A graph whose size is no
    chip's stays as it came.
    """
    if not is_analysable(source):
        return Minimised(source, Certificate())
    tabled = with_tables(source)
    narrow = remove_channels(tabled.graph)
    found = bypass(narrow.graph)
    free = without_clamps(found.graph if found.graph is narrow.graph else verify_graph(found.graph))
    simplified = (*tabled.operators, *free.operators)
    return Minimised(free.graph, replace(narrow.certificate, bypassed=found.operators, simplified=simplified))


def remove_channels(source: Graph) -> Minimised:
    """The graph without channels that never change, copies of others and what nothing live reads.

    Left as it came where that saves no operator and next to nothing else.
    """
    bounds = graph_bounds(source)
    equal = equal_channels(source, bounds)
    kept = kept_channels(source, bounds, equal)
    if all(mask.all() for mask in kept.values()) or not any(kept[op.output].any() for op in source.ops):
        return Minimised(source, Certificate())
    graph = verify_graph(narrowed(source, bounds, kept, equal))
    if not _is_worth_it(source, graph):
        return Minimised(source, Certificate())
    certificate = _certificate(source, bounds, kept, equal)
    require_contract(source, graph, certificate)
    return Minimised(graph, certificate)


def _is_worth_it(source: Graph, graph: Graph) -> bool:
    def fewer(cost: Callable[[Graph], int]) -> bool:
        return cost(graph) < (1 - WORTH) * cost(source)

    return len(graph.ops) < len(source.ops) or fewer(all_macs) or fewer(constant_bytes)


def all_macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference."""
    return sum(macs(op, graph) for op in graph.ops)


def constant_bytes(graph: Graph) -> int:
    """Bytes of the constants as the graph has them."""
    return sum(tensor.size_bytes for tensor in graph.tensors.values() if tensor.is_constant)


def _certificate(
    source: Graph, bounds: Mapping[str, Bounds], kept: Mapping[str, Mask], equal: Mapping[str, Int64]
) -> Certificate:
    tensors = []
    for tensor in source.activations():
        channels = np.flatnonzero(~kept[tensor.name])
        if channels.size and tensor.shape:
            low, high = bounds[tensor.name].of(channels_of(tensor))
            sums, first = bounds[tensor.name].accumulators, equal[tensor.name]
            stay = {int(first[c]): int(c) for c in np.flatnonzero(kept[tensor.name])[::-1]}  # one of each that are equal
            removed = tuple(
                RemovedChannel(
                    int(c),
                    int(low[c]) if low[c] == high[c] else None,
                    None if sums is None else (int(sums[0][c]), int(sums[1][c])),
                    stay.get(int(first[c])) if low[c] != high[c] else None,
                )
                for c in channels
            )
            tensors.append(NarrowedTensor(tensor.name, channels_of(tensor), removed))
    facts = (
        EqualChannels(name, tuple(first.tolist())) for name, first in equal.items() if (first != np.arange(len(first))).any()
    )
    return Certificate(tuple(tensors), equal=tuple(facts), state=state_intervals(source, bounds))
