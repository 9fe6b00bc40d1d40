"""The schedule with which the arena is smallest: the order of the operators, and the row bands of their kernels.

Any order in which every operator follows its inputs computes the same bytes (`order.py` searches it). Where a depthwise
convolution, a Max-out or a channel shuffle is the most crowded moment, its banded form lets its output follow the input through
the same memory, for a little more work. Searches end at fixed numbers of steps, never by the clock.

Nothing here is trusted: the plan of the result is checked like any other, and the schedule as it came is kept where it is no
worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..build import Build, RowBands
from ..ir import Graph, Op, OpKind
from ..kernels import select
from ..kernels.base import KernelCall
from .lifetimes import Lifetimes, is_free, lifetimes, views_of
from .order import Order, best_order
from .plan_memory import ARENA_ALIGN_BYTES, MemoryPlan, lower_bound_bytes, plan_memory
from .variables import settle_variables

SEARCH_STEPS = 1_000_000  # of all searches of a schedule after the first two
PLAN_STEPS = 64  # what the plan of each kernel call counts for
BANDS = (2, 3, 4, 6, 8)
WORTH, WORTH_BYTES = 0.98, 2048  # bands cost instructions: they must save two percent of the arena, and as many bytes


@dataclass(frozen=True, eq=False)
class Schedule:
    """A graph in its order of execution, the operators that need a kernel, their calls, and where everything lies."""

    graph: Graph
    ops: tuple[Op, ...]
    calls: tuple[KernelCall, ...]
    plan: MemoryPlan


def schedule(graph: Graph, build: Build) -> Schedule:
    """The schedule with the smallest arena that was found; the same for the same input."""
    found = [_scheduled(settled, build) for settled in settle_variables(graph, build)]
    return min(reversed(found), key=lambda made: made.plan.arena_bytes)


def _scheduled(graph: Graph, build: Build) -> Schedule:
    if not build.level.saves_memory:
        return _smallest(graph, build)
    return _without_needless(_smallest(graph, replace(build, in_place=True)), build)


def _without_needless(best: Schedule, build: Build) -> Schedule:
    """The schedule with kernels that read in place only where the arena would be larger otherwise."""
    for index, op in enumerate(best.ops):
        if op.kind is not OpKind.FULLY_CONNECTED:
            continue
        calls = (*best.calls[:index], select(op, best.graph, build), *best.calls[index + 1 :])
        plan = plan_memory(lifetimes(best.graph, calls))
        if plan.arena_bytes <= best.plan.arena_bytes:
            best = replace(best, calls=calls, plan=plan)
    return best


def _smallest(graph: Graph, build: Build) -> Schedule:
    calls = _Calls.of(graph, build)
    best = _planned(graph, calls)
    order = best_order(graph, calls.by_output)
    if order.ops != best.ops:
        ordered = _planned(_in_order(graph, order.ops), calls)
        if ordered.plan.arena_bytes < best.plan.arena_bytes:
            best = ordered
    budget = _Budget(SEARCH_STEPS)
    while order.crowded is not None and budget.left > 0:
        banded = _with_bands(calls, order, budget)
        if banded is None:
            break
        calls, order = banded
        wanted = min(WORTH * best.plan.arena_bytes, best.plan.arena_bytes - WORTH_BYTES)
        in_order = _in_order(graph, order.ops)
        if lower_bound_bytes(_lifetimes(in_order, calls)) <= wanted:
            budget.left -= PLAN_STEPS * len(calls.by_output)
            found, calls = _with_bands_from_end(_planned(in_order, calls), calls, budget)
            if found.plan.arena_bytes <= wanted:
                best = found
    return best


@dataclass
class _Budget:
    """What is left of the steps that a search may take."""

    left: int


@dataclass(frozen=True, eq=False)
class _Calls:
    """The kernel call of each operator and the bands that it was chosen with, both by the operator's output."""

    graph: Graph
    by_output: Mapping[str, KernelCall]
    build: Build
    bands: Mapping[str, RowBands]

    @staticmethod
    def of(graph: Graph, build: Build) -> _Calls:
        calls = {op.output: select(op, graph, build) for op in graph.ops if not is_free(op.kind)}
        return _Calls(graph, calls, build, dict.fromkeys(calls, build.bands))

    def changed(self, op: Op, bands: RowBands) -> _Calls:
        call = select(op, self.graph, replace(self.build, bands=bands))
        return replace(self, by_output={**self.by_output, op.output: call}, bands={**self.bands, op.output: bands})


def _calls_in_order(graph: Graph, calls: _Calls) -> tuple[KernelCall, ...]:
    return tuple(calls.by_output[op.output] for op in graph.ops if not is_free(op.kind))


def _lifetimes(graph: Graph, calls: _Calls) -> Lifetimes:
    return lifetimes(graph, _calls_in_order(graph, calls))


def _planned(graph: Graph, calls: _Calls) -> Schedule:
    ops = tuple(op for op in graph.ops if not is_free(op.kind))
    return Schedule(graph, ops, _calls_in_order(graph, calls), plan_memory(_lifetimes(graph, calls)))


def _with_bands(calls: _Calls, order: Order, budget: _Budget) -> tuple[_Calls, Order] | None:
    """More bands in the most crowded operator, as few as save about the most; None: that is of no use."""
    op = order.crowded
    assert op is not None
    now = calls.bands[op.output]
    found = []
    for count in (count for count in BANDS if now.count < count <= calls.build.level.max_bands):
        tried = calls.changed(op, replace(now, count=count))
        if tried.by_output[op.output].is_banded:
            found.append((tried, best_order(calls.graph, tried.by_output)))
            budget.left -= found[-1][1].steps
    least = min((tried.peak_bytes for _, tried in found), default=order.peak_bytes)
    return None if least >= order.peak_bytes else next(pair for pair in found if WORTH * pair[1].peak_bytes <= least)


def _with_bands_from_end(best: Schedule, calls: _Calls, budget: _Budget) -> tuple[Schedule, _Calls]:
    """Some bands in the other direction: operators that each lie below the one before would need room below them all."""
    for op in best.ops:
        bands, plan = calls.bands[op.output], best.plan
        if bands.count > 1 and plan.arena_bytes >= plan.lower_bound_bytes + ARENA_ALIGN_BYTES and budget.left > 0:
            tried = calls.changed(op, replace(bands, from_end=not bands.from_end))
            found = _planned(best.graph, tried)
            budget.left -= PLAN_STEPS * len(best.ops)
            if found.plan.arena_bytes < best.plan.arena_bytes:
                best, calls = found, tried
    return best, calls


def _in_order(graph: Graph, order: Sequence[Op]) -> Graph:
    """The graph with its operators in this order; each free one follows its input at once."""
    shown = views_of(graph)
    ops = [view for name in graph.given for view in shown.get(name, ())]
    for op in order:
        ops.append(op)
        ops += (view for name in op.outputs for view in shown.get(name, ()))
    return graph.with_ops(tuple(ops))
