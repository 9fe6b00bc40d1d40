"""Operators made cheaper: functions of one value become tables, clamps that never bite go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..ir import Graph
from ..verify_graph import verify_graph
from .certificate import SimplifiedOperator
from .clamps import without_idle_clamps
from .intervals import Bounds, graph_bounds, state_intervals
from .one_value import as_tables
from .simplify_contract import require_simplified

_Change = Callable[[Graph, Mapping[str, Bounds]], tuple[Graph, tuple[SimplifiedOperator, ...]]]


@dataclass(frozen=True, eq=False)
class Simplification:
    """A graph of cheaper operators, and what became of those that were read."""

    graph: Graph
    operators: tuple[SimplifiedOperator, ...]


def with_tables(graph: Graph) -> Simplification:
    """The graph whose functions of one value are tables, as proven by `require_simplified`."""
    return _proven(graph, as_tables)


def without_clamps(graph: Graph) -> Simplification:
    """The graph without clamps that never bite, as proven by `require_simplified`."""
    return _proven(graph, without_idle_clamps)


def _proven(graph: Graph, change: _Change) -> Simplification:
    bounds = graph_bounds(graph)
    found, operators = change(graph, bounds)
    if found is graph:
        return Simplification(graph, ())
    require_simplified(graph, found, state_intervals(graph, bounds))
    return Simplification(verify_graph(found), operators)
