"""The order of the operators whose most crowded moment is the least crowded.

What is live depends on the set of operators done, not on their order, so a search that goes set by set and keeps the best BEAM of
each size finds it, or nearly. Where very many operators are ready at a time, only the nearest are tried: those that the last ones
made ready, and the first of the given order. The search ends at a fixed number of steps, never by the clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import or_

from ..ir import Graph, Op
from ..kernels.base import KernelCall, RowSchedule
from .lifetimes import is_free, views

BEAM = 24
ORDER_STEPS = 120_000  # one search for an order may try about so many next operators; networks need less
LEAST_READY = 4


@dataclass(frozen=True, eq=False)
class Order:
    """Operators in order; the most bytes that are live at one time, the operator at that time, and the steps that it took."""

    ops: tuple[Op, ...]
    peak_bytes: int
    crowded: Op | None
    steps: int


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
    affordable, steps = ORDER_STEPS // max(1, len(problem.ops)), 0
    for _ in problem.ops:
        reached: dict[int, _State] = {}
        most_ready = max(LEAST_READY, affordable // len(beam))
        for state in beam:
            for index in problem.candidates(state, most_ready):
                found = problem.after(state, index)
                known = reached.get(found.done)
                if known is None or found.key < known.key:
                    reached[found.done] = found
                steps += 1
        beam = sorted(reached.values(), key=lambda state: state.key)[:BEAM]
    last: _State | None = beam[0]
    assert last is not None
    peak, crowded = last.peak_bytes, last.crowded
    order: list[Op] = []
    while last is not None and last.last >= 0:
        order.append(problem.ops[last.last])
        last = last.before
    return Order(tuple(reversed(order)), peak, problem.ops[crowded] if crowded >= 0 else None, steps)


def _bits(mask: int) -> Iterator[int]:
    """The positions of the ones, lowest first."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


def _lowest(mask: int, count: int) -> int:
    """The mask with only its lowest `count` ones."""
    return sum(1 << index for index in islice(_bits(mask), count))


class _Problem:
    """Operators as bits: what each needs, what dies behind it, how many bytes it needs while it runs."""

    def __init__(self, graph: Graph, calls: Mapping[str, KernelCall]):
        self.ops = [op for op in graph.ops if not is_free(op.kind)]
        self._calls = [calls[op.output] for op in self.ops]
        root = views(graph)
        self._inputs = [tuple(dict.fromkeys(root.get(name, name) for name in call.inputs)) for call in self._calls]
        self._sharing = [{root.get(name, name): sharing for name, sharing in call.sharing.items()} for call in self._calls]
        before_of = {root.get(variable.after, variable.after): variable.before for variable in graph.variables}
        around = {variable.before: variable.around for variable in graph.variables if variable.around is not None}
        self._size = {name: graph.tensor(name).size_bytes for name in graph.given}
        producer: dict[str, int] = {}
        for index, call in enumerate(self._calls):
            for name in call.outputs:
                producer[name] = index
                in_variable = name in before_of or name in around.values()
                self._size[name] = 0 if in_variable else graph.tensor(name).size_bytes
        self._size |= {before: graph.tensor(name).size_bytes for before, name in around.items()}
        self._readers = dict.fromkeys(self._size, 0)
        for index, names in enumerate(self._inputs):
            for name in names:
                self._readers[name] |= 1 << index
        kept = {root.get(name, name) for name in graph.results} | set(before_of.values())
        self._is_kept = {name: name in kept for name in self._size}
        self._needs = [sum({1 << producer[name] for name in names if name in producer}) for names in self._inputs]
        self._followers = [reduce(or_, (self._readers[name] for name in call.outputs), 0) for call in self._calls]
        for name, before in before_of.items():
            if name in producer:  # it overwrites the variable's value: whoever reads that comes first
                writer = producer[name]
                readers = self._readers[before] | (self._readers[around[before]] if before in around else 0)
                for reader in _bits(readers & ~(1 << writer)):
                    self._needs[writer] |= 1 << reader
                    self._followers[reader] |= 1 << writer
        self._given_bytes = sum(self._size[name] for name in graph.given)

    def start(self) -> _State:
        """Nothing is done, the graph's inputs and variables are live."""
        ready = sum(1 << index for index, needs in enumerate(self._needs) if not needs)
        return _State(0, ready, self._given_bytes, 0, -1, 0, None, -1)

    def candidates(self, state: _State, most: int) -> list[int]:
        """The operators that may come next, all of them or the `most` nearest, in the given order."""
        if state.ready.bit_count() <= most:
            return list(_bits(state.ready))
        chosen = 0
        behind: _State | None = state
        for _ in range(most):  # half of them may be readers of what was written last
            if behind is None or behind.last < 0 or chosen.bit_count() >= most // 2:
                break
            chosen |= _lowest(self._followers[behind.last] & state.ready & ~chosen, most // 2 - chosen.bit_count())
            behind = behind.before
        chosen |= _lowest(state.ready & ~chosen, most - chosen.bit_count())
        return list(_bits(chosen))

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
        freed = sum(1 << user for user in _bits(self._followers[index]) if self._needs[user] & done == self._needs[user])
        return _State(done, state.ready & ~(1 << index) | freed, live, peak, crowded, state.disorder + skipped, state, index)

    def _saved(self, index: int, source: str) -> int:
        """Bytes that the first output and an input share."""
        sharing, output = self._sharing[index][source], self._size[self._calls[index].outputs[0]]
        distance = sharing.min_distance_bytes if isinstance(sharing, RowSchedule) else 0
        return max(0, output + self._size[source] - max(output, distance + self._size[source]))
