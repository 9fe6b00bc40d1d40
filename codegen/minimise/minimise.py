"""Remove from a graph what is computed for nothing, with a certificate of what went and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..ir import Graph, macs
from ..verify_graph import verify_graph
from .bypass import bypass
from .certificate import Certificate, NarrowedTensor, RemovedChannel
from .channels import Mask, kept_channels
from .contract import require_contract
from .intervals import Bounds, channels_of, graph_bounds, is_analysable, state_intervals
from .narrow import narrowed

WORTH = 0.01  # of the multiply-accumulates or of the constants' bytes: for less, layers of odd sizes may cost what they save


@dataclass(frozen=True, eq=False)
class Minimised:
    """A graph that gives the same outputs, and what it lacks of the one that was read."""

    graph: Graph
    certificate: Certificate


def minimise(source: Graph) -> Minimised:
    """The graph without channels that never change, what nothing live reads and operators that change nothing.

    Each removal is proven by a contract (`require_contract`, `require_bypass`). A graph whose size is no chip's stays as it came.
    """
    if not is_analysable(source):
        return Minimised(source, Certificate())
    narrow = remove_channels(source)
    found = bypass(narrow.graph)
    graph = found.graph if found.graph is narrow.graph else verify_graph(found.graph)
    return Minimised(graph, replace(narrow.certificate, bypassed=found.operators))


def remove_channels(source: Graph) -> Minimised:
    """The graph without channels that never change and without what nothing live reads.

    Left as it came where that saves no operator and next to nothing else.
    """
    bounds = graph_bounds(source)
    kept = kept_channels(source, bounds)
    if all(mask.all() for mask in kept.values()) or not any(kept[op.output].any() for op in source.ops):
        return Minimised(source, Certificate())
    graph = verify_graph(narrowed(source, bounds, kept))
    if not _is_worth_it(source, graph):
        return Minimised(source, Certificate())
    certificate = _certificate(source, bounds, kept)
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


def _certificate(source: Graph, bounds: Mapping[str, Bounds], kept: Mapping[str, Mask]) -> Certificate:
    tensors = []
    for tensor in source.activations():
        channels = np.flatnonzero(~kept[tensor.name])
        if channels.size and tensor.shape:
            low, high = bounds[tensor.name].of(channels_of(tensor))
            sums = bounds[tensor.name].accumulators
            removed = tuple(
                RemovedChannel(
                    int(c),
                    int(low[c]) if low[c] == high[c] else None,
                    None if sums is None else (int(sums[0][c]), int(sums[1][c])),
                )
                for c in channels
            )
            tensors.append(NarrowedTensor(tensor.name, channels_of(tensor), removed))
    return Certificate(tuple(tensors), state=state_intervals(source, bounds))
