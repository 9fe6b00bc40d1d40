"""Where each buffer lies in the arena: the smallest arena that a deterministic search finds.

Buffers are placed one after the other at the lowest offset that conflicts with none of those placed before. The order
decides: several natural orders are tried, then, from the best of them, the buffers that end at the top of the arena are moved
forward, until the arena is as small as the most bytes live at one time (no plan can be smaller) or the tries are spent; first
with the large buffers alone, then with all. Where a placement of very many buffers costs much, fewer are tried. `check_plan`
proves the result without trusting this file.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..kernels.base import RowSchedule, Sharing
from .lifetimes import Buffer, Lifetimes, Sharable

ARENA_ALIGN_BYTES = 16
LARGE_SHARE = 100  # what takes a hundredth of the arena decides its size; it is searched alone first
LARGE_TRIES, TRIES = 500, 50
STARTS = 3  # of the natural orders so many are searched on from, the best first: one alone ends in a hollow too often
WORK = 6_000_000  # what the placements of one search may cost, in pairs of buffers looked at: about a second
BUFFER_WORK = 8  # a buffer's own part of a placement, in pairs


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets of all buffers in an arena of `arena_bytes`; `lower_bound_bytes` is the most bytes live at one time.

    state_bytes  of the arena's begin, where the variables lie and nothing else
    """

    arena_bytes: int
    offsets: Mapping[str, int]
    lifetimes: Lifetimes
    lower_bound_bytes: int
    state_bytes: int = 0

    def tensor_offset(self, tensor: str) -> int:
        """Where a tensor starts in the arena."""
        return self.offsets[self.lifetimes.buffer_of[tensor]]


def plan_memory(lifetimes: Lifetimes) -> MemoryPlan:
    """The smallest plan found; the same for the same input. Variables, which live for ever, come first, one after the other."""
    offsets: dict[str, int] = {}
    state_bytes = 0
    for variable in lifetimes.variables:
        offsets[variable.name] = state_bytes
        state_bytes += _aligned(variable.size_bytes)
    others = [buffer for buffer in lifetimes.buffers if buffer not in lifetimes.variables]
    bound = lower_bound_bytes(replace(lifetimes, buffers=tuple(others)))
    large = [b for b in others if b.size_bytes * LARGE_SHARE >= bound]
    small = sorted((b for b in others if b.size_bytes * LARGE_SHARE < bound), key=_NATURAL_ORDERS[0])
    of_large = _smallest(large, lifetimes.sharable, bound, LARGE_TRIES)
    best = _smallest(others, lifetimes.sharable, bound, TRIES, [*of_large.order, *small])
    offsets |= {name: state_bytes + offset for name, offset in best.offsets.items()}
    return MemoryPlan(state_bytes + _aligned(best.size_bytes), offsets, lifetimes, state_bytes + bound, state_bytes)


@dataclass(frozen=True)
class _Placed:
    """Buffers in the order in which they were placed, their offsets, and the arena that they need."""

    order: tuple[Buffer, ...]
    offsets: Mapping[str, int]
    size_bytes: int


_NATURAL_ORDERS: tuple[Callable[[Buffer], tuple[int, int, str]], ...] = (
    lambda b: (-b.size_bytes, b.first, b.name),
    lambda b: (-b.size_bytes * (b.last - b.first + 1), b.first, b.name),
    lambda b: (b.first, -b.size_bytes, b.name),
)


def _smallest(
    buffers: Sequence[Buffer], sharable: Sequence[Sharable], bound: int, tries: int, known: Sequence[Buffer] = ()
) -> _Placed:
    """The smallest arena for these buffers that is found: natural orders, a `known` one, then moves of what lies on top."""
    problem = _Problem(buffers, sharable)
    rng = random.Random(0)
    orders = [sorted(buffers, key=key) for key in _NATURAL_ORDERS]
    orders += [_outputs_first(order, sharable) for order in orders]
    if known:
        orders.insert(0 if problem.affordable < len(orders) + 1 else len(orders), list(known))
    affordable = max(1, problem.affordable)
    starts = sorted(filter(None, map(problem.place, orders[:affordable])), key=lambda placed: placed.size_bytes)
    left = affordable - len(orders)
    best = starts[0]
    for start in starts[:STARTS]:
        found = start
        for _ in range(min(tries, left)):
            if _aligned(best.size_bytes) <= _aligned(bound):
                return best
            found = problem.place(_moved_forward(found, rng), found.size_bytes) or found
            best = min(best, found, key=lambda placed: placed.size_bytes)
        left -= tries
    return best


def _outputs_first(order: Sequence[Buffer], sharable: Sequence[Sharable]) -> list[Buffer]:
    """The order with each output before a source that it follows row by row: it takes the lower place, the source overlaps."""
    moved = list(order)
    by_name = {buffer.name: buffer for buffer in order}
    for pair in sharable:
        if isinstance(pair.sharing, RowSchedule) and pair.output in by_name and pair.source in by_name:
            output, source = moved.index(by_name[pair.output]), moved.index(by_name[pair.source])
            if output > source:
                moved.insert(source, moved.pop(output))
    return moved


def _moved_forward(placed: _Placed, rng: random.Random) -> list[Buffer]:
    """The order with a buffer at the arena's top, and two others, moved to an earlier place."""
    moved = list(placed.order)
    at_top = [b for b in moved if placed.offsets[b.name] + b.size_bytes >= placed.size_bytes]
    for buffer in (rng.choice(at_top), *rng.sample(moved, k=min(2, len(moved)))):
        place = moved.index(buffer)
        moved.insert(rng.randrange(place + 1), moved.pop(place))
    return moved


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ARENA_ALIGN_BYTES) * ARENA_ALIGN_BYTES


def lower_bound_bytes(lifetimes: Lifetimes) -> int:
    """The most bytes that must be live at one time, with the best saving that each call's sharing allows."""
    by_name = {b.name: b for b in lifetimes.buffers}
    changes: dict[int, int] = {}  # of the live bytes from one time to the next
    for buffer in lifetimes.buffers:
        changes[buffer.first] = changes.get(buffer.first, 0) + buffer.size_bytes
        changes[buffer.last + 1] = changes.get(buffer.last + 1, 0) - buffer.size_bytes
    saved: dict[int, int] = {}
    for pair in lifetimes.sharable:
        output, source = by_name[pair.output], by_name[pair.source]
        distance = pair.sharing.min_distance_bytes if isinstance(pair.sharing, RowSchedule) else 0
        together = max(output.size_bytes, distance + source.size_bytes)
        saving = max(0, output.size_bytes + source.size_bytes - together)
        saved[output.first] = saved.get(output.first, 0) + saving
    born = {b.first for b in lifetimes.buffers}
    most = live = 0
    for time in sorted(changes):
        live += changes[time]
        if time in born:
            most = max(most, live - saved.get(time, 0))
    return most


class _Problem:
    """The pairs of buffers that meet, and how close each pair may lie.

    affordable  how many placements the search may try
    """

    def __init__(self, buffers: Sequence[Buffer], sharable: Sequence[Sharable]):
        self._meeting = _meeting(buffers)
        self._closer: dict[str, list[tuple[str, int, int, bool]]] = {buffer.name: [] for buffer in buffers}
        by_name = {buffer.name: buffer for buffer in buffers}
        sharing: dict[str, set[str]] = {}
        for pair in sharable:
            if pair.output in by_name and pair.source in by_name:
                output, source = by_name[pair.output], by_name[pair.source]
                for buffer, other, is_output in ((output, source, True), (source, output, False)):
                    self._closer[buffer.name].append((other.name, *_forbidden(buffer, other, pair.sharing, is_output)))
                    sharing.setdefault(buffer.name, set()).add(other.name)
        for name, partners in sharing.items():
            self._meeting[name] = [entry for entry in self._meeting[name] if entry[0] not in partners]
        pairs = sum(map(len, self._meeting.values()))
        self.affordable = WORK // (pairs + BUFFER_WORK * len(buffers) + 1)

    def place(self, order: Sequence[Buffer], limit_bytes: int = sys.maxsize) -> _Placed | None:
        """Offsets by first fit in the given order; None as soon as a buffer ends above the limit."""
        offsets: dict[str, int] = {}
        size_bytes = 0
        for buffer in order:
            below = -buffer.size_bytes
            forbidden = [  # open intervals of offsets, each but for one of them (-1: for none)
                (offsets[other] + below, offsets[other] + size, -1)
                for other, size in self._meeting[buffer.name]
                if other in offsets
            ]
            for other, low, high, is_same_free in self._closer[buffer.name]:
                at = offsets.get(other)
                if at is not None:
                    forbidden.append((at + low, at + high, at if is_same_free else -1))
            forbidden.sort()
            offset = 0
            for low, high, _ in forbidden:
                if offset <= low:
                    break
                if offset < high:
                    offset = _aligned(high)
            for at in sorted(free for *_, free in forbidden if 0 <= free < offset):
                if all(at == free or not low < at < high for low, high, free in forbidden):
                    offset = at
                    break
            offsets[buffer.name] = offset
            size_bytes = max(size_bytes, offset + buffer.size_bytes)
            if size_bytes > limit_bytes:
                return None
        return _Placed(tuple(order), offsets, size_bytes)


def _meeting(buffers: Sequence[Buffer]) -> dict[str, list[tuple[str, int]]]:
    """Of each buffer: the name and the size of all others that are live at a common time."""
    found: dict[str, list[tuple[str, int]]] = {}
    live: list[Buffer] = []
    entries = {buffer.name: (buffer.name, buffer.size_bytes) for buffer in buffers}  # one for all lists: there may be millions
    for buffer in sorted(buffers, key=lambda b: b.first):
        live = [other for other in live if other.last >= buffer.first]
        entry = entries[buffer.name]
        for other in live:
            found[other.name].append(entry)
        found[buffer.name] = [entries[other.name] for other in live]
        live.append(buffer)
    return found


def _forbidden(buffer: Buffer, other: Buffer, sharing: Sharing, is_output: bool) -> tuple[int, int, bool]:
    """The open interval of offsets that `buffer` may not take, and whether the very same is free, all from the other's offset.

    is_output   whether `buffer` is the output of the two that share
    """
    low, high = -buffer.size_bytes, other.size_bytes
    if not isinstance(sharing, RowSchedule):
        return low, high, True
    distance = sharing.min_distance_bytes
    if sharing.from_end:  # between the ends, of which the output's is the upper one
        distance += (other.size_bytes - buffer.size_bytes) * (1 if is_output else -1)
    if is_output == sharing.from_end:  # `buffer` is the upper one
        return low, min(high, distance), False
    return max(low, -distance), high, False
