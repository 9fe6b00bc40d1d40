"""Where each buffer lies in the arena: the smallest arena that a deterministic search finds.

Buffers are placed one after the other at the lowest offset that conflicts with none of those placed before. The order
decides: several natural orders are tried, then the buffers that end at the top of the arena are moved forward, until the arena
is as small as the most bytes live at one time (no plan can be smaller) or the tries are spent; first with the large buffers
alone, then with all. `check_plan` proves the result without trusting this file.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .kernels.base import RowSchedule, Sharing
from .lifetimes import Buffer, Lifetimes, Sharable

ARENA_ALIGN_BYTES = 16
LARGE_SHARE = 100  # what takes a hundredth of the arena decides its size; it is searched alone first
LARGE_TRIES, TRIES = 500, 50


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets of all buffers in an arena of `arena_bytes`; `lower_bound_bytes` is the most bytes live at one time."""

    arena_bytes: int
    offsets: Mapping[str, int]
    lifetimes: Lifetimes
    lower_bound_bytes: int

    def tensor_offset(self, tensor: str) -> int:
        """Where a tensor starts in the arena."""
        return self.offsets[self.lifetimes.buffer_of[tensor]]


def plan_memory(lifetimes: Lifetimes) -> MemoryPlan:
    """The smallest plan found; the same for the same input."""
    bound = _lower_bound_bytes(lifetimes)
    large = [b for b in lifetimes.buffers if b.size_bytes * LARGE_SHARE >= bound]
    small = sorted((b for b in lifetimes.buffers if b.size_bytes * LARGE_SHARE < bound), key=_NATURAL_ORDERS[0])
    of_large = _smallest(large, lifetimes.sharable, bound, LARGE_TRIES)
    best = _smallest(lifetimes.buffers, lifetimes.sharable, bound, TRIES, [*of_large.order, *small])
    return MemoryPlan(_aligned(best.size_bytes), best.offsets, lifetimes, bound)


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
        orders.append(list(known))
    best = min(filter(None, map(problem.place, orders)), key=lambda placed: placed.size_bytes)
    for _ in range(tries):
        if _aligned(best.size_bytes) <= _aligned(bound):
            break
        best = problem.place(_moved_forward(best, rng), best.size_bytes) or best
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


def _lower_bound_bytes(lifetimes: Lifetimes) -> int:
    """The most bytes that must be live at one time, with the best saving that each call's sharing allows."""
    by_name = {b.name: b for b in lifetimes.buffers}
    saved: dict[int, int] = {}
    for pair in lifetimes.sharable:
        output, source = by_name[pair.output], by_name[pair.source]
        distance = pair.sharing.min_distance_bytes if isinstance(pair.sharing, RowSchedule) else 0
        together = max(output.size_bytes, distance + source.size_bytes)
        saving = max(0, output.size_bytes + source.size_bytes - together)
        saved[output.first] = saved.get(output.first, 0) + saving
    times = {b.first for b in lifetimes.buffers}
    return max(
        (sum(b.size_bytes for b in lifetimes.buffers if b.first <= t <= b.last) - saved.get(t, 0) for t in times), default=0
    )


class _Problem:
    """The pairs of buffers that meet, and how close each pair may lie."""

    def __init__(self, buffers: Sequence[Buffer], sharable: Sequence[Sharable]):
        sharings = {(p.output, p.source): p.sharing for p in sharable}

        def apart(buffer: Buffer, other: Buffer) -> tuple[str, int, int, bool]:
            is_output = (buffer.name, other.name) in sharings
            sharing = sharings.get((buffer.name, other.name) if is_output else (other.name, buffer.name))
            return other.name, *_forbidden(buffer, other, sharing, is_output)

        self._apart = {
            buffer.name: [apart(buffer, other) for other in buffers if other is not buffer and buffer.meets(other)]
            for buffer in buffers
        }

    def place(self, order: Sequence[Buffer], limit_bytes: int = sys.maxsize) -> _Placed | None:
        """Offsets by first fit in the given order; None as soon as a buffer ends above the limit."""
        offsets: dict[str, int] = {}
        size_bytes = 0
        for buffer in order:
            forbidden: list[tuple[int, int, int]] = []  # open intervals of offsets, each but for one of them (-1: for none)
            for other, low, high, is_same_free in self._apart[buffer.name]:
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


def _forbidden(buffer: Buffer, other: Buffer, sharing: Sharing | None, is_output: bool) -> tuple[int, int, bool]:
    """The open interval of offsets that `buffer` may not take, and whether the very same is free, all from the other's offset.

    is_output   whether `buffer` is the output of the two that share
    """
    low, high = -buffer.size_bytes, other.size_bytes
    if not isinstance(sharing, RowSchedule):
        return low, high, sharing is not None
    distance = sharing.min_distance_bytes
    if sharing.from_end:  # between the ends, of which the output's is the upper one
        distance += (other.size_bytes - buffer.size_bytes) * (1 if is_output else -1)
    if is_output == sharing.from_end:  # `buffer` is the upper one
        return low, min(high, distance), False
    return max(low, -distance), high, False
