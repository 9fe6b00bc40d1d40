"""The order of the operators, and the kernels' stripes, with which the arena is smallest.

Any order in which every operator follows its inputs computes the same bytes. `best_order` searches the orders for the one whose
most crowded moment is the least crowded. What is live depends on the set of operators done, not on their order, so a search that
goes set by set and keeps the best BEAM of each size finds it, or nearly. Where a depthwise convolution, a Max-out or a channel
shuffle is that moment, its striped form lets its output follow the input through the same memory, for a little more work.

Nothing here is trusted: the plan of the result is checked like any other, and the arrangement as it came is kept where it is no
worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .ir import Graph, Op
from .kernels import select_kernel
from .kernels.base import KernelCall, RowSchedule
from .kernels.effort import Effort
from .lifetimes import is_free, lifetimes, views
from .plan_memory import ARENA_ALIGN_BYTES, MemoryPlan, plan_memory

BEAM = 24
STRIPES = (2, 3, 4, 6, 8)
WORTH, WORTH_BYTES = 0.98, 2048  # stripes cost instructions: they must save two percent of the arena, and as many bytes


@dataclass(frozen=True, eq=False)
class Arrangement:
    """A graph in its order of execution, the operators that need a kernel, their calls, and where everything lies."""

    graph: Graph
    ops: tuple[Op, ...]
    calls: tuple[KernelCall, ...]
    plan: MemoryPlan


def arrange(graph: Graph, effort: Effort) -> Arrangement:
    """The arrangement with the smallest arena that was found; the same for the same input."""
    calls = _Calls.of(graph, effort)
    best = _planned(graph, calls)
    order = best_order(graph, calls.by_output)
    ordered = _planned(_in_order(graph, order.ops), calls)
    if ordered.plan.arena_bytes < best.plan.arena_bytes:
        best = ordered
    while order.crowded is not None:
        striped = _with_stripes(calls, order)
        if striped is None:
            break
        calls, order = striped
        wanted = min(WORTH * best.plan.arena_bytes, best.plan.arena_bytes - WORTH_BYTES)
        found = _planned(_in_order(graph, order.ops), calls)
        if found.plan.lower_bound_bytes <= wanted:
            found, calls = _with_stripes_from_end(found, calls)
        if found.plan.arena_bytes <= wanted:
            best = found
    return best


@dataclass(frozen=True, eq=False)
class _Calls:
    """The kernel call of each operator and the effort that it was selected with, both by the operator's output."""

    graph: Graph
    by_output: Mapping[str, KernelCall]
    efforts: Mapping[str, Effort]

    @staticmethod
    def of(graph: Graph, effort: Effort) -> _Calls:
        calls = {op.output: select_kernel(op, graph, effort) for op in graph.ops if not is_free(op.kind)}
        return _Calls(graph, calls, dict.fromkeys(calls, effort))

    def changed(self, op: Op, effort: Effort) -> _Calls:
        call = select_kernel(op, self.graph, effort)
        return _Calls(self.graph, {**self.by_output, op.output: call}, {**self.efforts, op.output: effort})


def _planned(graph: Graph, calls: _Calls) -> Arrangement:
    ops = tuple(op for op in graph.ops if not is_free(op.kind))
    in_order = tuple(calls.by_output[op.output] for op in ops)
    return Arrangement(graph, ops, in_order, plan_memory(lifetimes(graph, in_order)))


def _with_stripes(calls: _Calls, order: Order) -> tuple[_Calls, Order] | None:
    """More stripes in the most crowded operator, as few as save about the most; None: that is of no use."""
    op = order.crowded
    assert op is not None
    now = calls.efforts[op.output]
    found = []
    for stripes in (count for count in STRIPES if now.stripes < count <= now.max_stripes):
        tried = calls.changed(op, replace(now, stripes=stripes))
        if tried.by_output[op.output].shape.get("is_striped"):
            found.append((tried, best_order(calls.graph, tried.by_output)))
    least = min((tried.peak_bytes for _, tried in found), default=order.peak_bytes)
    return None if least >= order.peak_bytes else next(pair for pair in found if WORTH * pair[1].peak_bytes <= least)


def _with_stripes_from_end(best: Arrangement, calls: _Calls) -> tuple[Arrangement, _Calls]:
    """Some stripes in the other direction: operators that each lie below the one before would need room below them all."""
    for op in best.ops:
        effort, plan = calls.efforts[op.output], best.plan
        if effort.stripes > 1 and plan.arena_bytes >= plan.lower_bound_bytes + ARENA_ALIGN_BYTES:
            tried = calls.changed(op, replace(effort, stripes_from_end=not effort.stripes_from_end))
            found = _planned(best.graph, tried)
            if found.plan.arena_bytes < best.plan.arena_bytes:
                best, calls = found, tried
    return best, calls


@dataclass(frozen=True, eq=False)
class Order:
    """Operators in order; the most bytes that are live at one time, and the operator at that time."""

    ops: tuple[Op, ...]
    peak_bytes: int
    crowded: Op | None


@dataclass(frozen=True)
class _State:
    """Part of an order: the operators done and those that may come next (a bit each), what is live, the most crowded of them."""

    done: int
    ready: int
    live_bytes: int
    peak_bytes: int
    crowded: int
    disorder: int
    before: _State | None
    last: int

    @property
    def key(self) -> tuple[int, int, int, int]:
        return self.peak_bytes, self.live_bytes, self.disorder, self.done


def best_order(graph: Graph, calls: Mapping[str, KernelCall]) -> Order:
    """The order of the operators that need a kernel with the least crowded peak; near the given one where that is no worse."""
    problem = _Problem(graph, calls)
    beam = [problem.start()]
    for _ in problem.ops:
        reached: dict[int, _State] = {}
        for state in beam:
            for index in _bits(state.ready):
                found = problem.after(state, index)
                known = reached.get(found.done)
                if known is None or found.key < known.key:
                    reached[found.done] = found
        beam = sorted(reached.values(), key=lambda state: state.key)[:BEAM]
    last: _State | None = beam[0]
    assert last is not None
    peak, crowded = last.peak_bytes, last.crowded
    order: list[Op] = []
    while last is not None and last.last >= 0:
        order.append(problem.ops[last.last])
        last = last.before
    return Order(tuple(reversed(order)), peak, problem.ops[crowded] if crowded >= 0 else None)


def _bits(mask: int) -> Iterator[int]:
    """The positions of the ones, lowest first."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


class _Problem:
    """Operators as bits: what each needs, what dies behind it, how many bytes it needs while it runs."""

    def __init__(self, graph: Graph, calls: Mapping[str, KernelCall]):
        self.ops = [op for op in graph.ops if not is_free(op.kind)]
        self._calls = [calls[op.output] for op in self.ops]
        root = views(graph)
        self._inputs = [tuple(dict.fromkeys(root.get(name, name) for name in call.inputs)) for call in self._calls]
        self._sharing = [{root.get(name, name): sharing for name, sharing in call.sharing.items()} for call in self._calls]
        self._size = {name: graph.tensor(name).size_bytes for name in graph.inputs}
        producer: dict[str, int] = {}
        for index, call in enumerate(self._calls):
            for name in call.outputs:
                producer[name] = index
                self._size[name] = graph.tensor(name).size_bytes
        self._readers = dict.fromkeys(self._size, 0)
        for index, names in enumerate(self._inputs):
            for name in names:
                self._readers[name] |= 1 << index
        kept = {root.get(name, name) for name in graph.outputs}
        self._is_kept = {name: name in kept for name in self._size}
        self._needs = [sum({1 << producer[name] for name in names if name in producer}) for names in self._inputs]
        self._input_bytes = sum(self._size[name] for name in graph.inputs)

    def start(self) -> _State:
        """Nothing is done, the graph's inputs are live."""
        ready = sum(1 << index for index, needs in enumerate(self._needs) if not needs)
        return _State(0, ready, self._input_bytes, 0, -1, 0, None, -1)

    def after(self, state: _State, index: int) -> _State:
        """The state behind one more operator."""
        call, done = self._calls[index], state.done | 1 << index
        dying = [name for name in self._inputs[index] if not self._is_kept[name] and not self._readers[name] & ~done]
        outputs = sum(self._size[name] for name in call.outputs)
        saved = max((self._saved(index, name) for name in dying if name in self._sharing[index]), default=0)
        crowd = state.live_bytes + outputs + call.scratch_bytes - saved
        unread = sum(self._size[name] for name in call.outputs if not self._readers[name] and not self._is_kept[name])
        live = state.live_bytes + outputs - unread - sum(self._size[name] for name in dying)
        skipped = (~done & ((1 << index) - 1)).bit_count()
        peak, crowded = (crowd, index) if crowd > state.peak_bytes else (state.peak_bytes, state.crowded)
        followers = 0
        for name in call.outputs:
            followers |= self._readers[name]
        freed = sum(1 << user for user in _bits(followers) if self._needs[user] & done == self._needs[user])
        return _State(done, state.ready & ~(1 << index) | freed, live, peak, crowded, state.disorder + skipped, state, index)

    def _saved(self, index: int, source: str) -> int:
        """Bytes that the first output and an input share."""
        sharing, output = self._sharing[index][source], self._size[self._calls[index].outputs[0]]
        distance = sharing.min_distance_bytes if isinstance(sharing, RowSchedule) else 0
        return max(0, output + self._size[source] - max(output, distance + self._size[source]))


def _in_order(graph: Graph, order: Sequence[Op]) -> Graph:
    """The graph with its operators in this order; each free one follows its input at once."""
    free = [op for op in graph.ops if is_free(op.kind)]
    ops: list[Op] = []

    def follow(names: Sequence[str]) -> None:
        for view in [op for op in free if op.inputs[0] in names]:
            ops.append(view)
            follow(view.outputs)

    follow(graph.inputs)
    for op in order:
        ops.append(op)
        follow(op.outputs)
    return graph.with_ops(tuple(ops))
