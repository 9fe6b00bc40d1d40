"""The memory plan as a picture: time from left to right, the arena from bottom to top, one rectangle a buffer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..codegen.schedule.lifetimes import Buffer
from ..codegen.schedule.plan_memory import MemoryPlan

WIDTH, HEIGHT = 960, 320  # of the plot
LEFT, BELOW, ABOVE = 70, 34, 16  # room for the axes' labels and the peak's


@dataclass(frozen=True)
class Rectangle:
    """A buffer in SVG units, origin at the top left of the plot; `hue` tells neighbours apart."""

    x: float
    y: float
    width: float
    height: float
    hue: int
    title: str
    is_at_peak: bool


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, `at` SVG units from the plot's left or top."""

    at: float
    label: str


@dataclass(frozen=True)
class Peak:
    """The kernel call at which the most bytes are live, and which buffers these are, the largest first."""

    call: int
    x: float
    live_bytes: int
    owners: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class MemoryPicture:
    """All that the page draws."""

    rectangles: tuple[Rectangle, ...]
    addresses: tuple[Tick, ...]
    calls: tuple[Tick, ...]
    peak: Peak


def memory_picture(plan: MemoryPlan, titles: Mapping[str, str]) -> MemoryPicture:
    """One rectangle for each buffer of a plan, scaled to WIDTH x HEIGHT, with axes and the most crowded moment.

    titles  what to call a buffer, by its name; others go by their own
    """
    buffers = sorted(plan.lifetimes.buffers, key=lambda b: (b.first, b.name))
    num_calls = max((b.last for b in buffers), default=0)
    steps, arena = num_calls + 2, max(plan.arena_bytes, 1)
    peak = _peak(buffers, num_calls, steps, titles)
    rectangles = []
    for index, b in enumerate(buffers):
        offset = plan.offsets[b.name]
        title = titles.get(b.name, b.name)
        rectangles.append(
            Rectangle(
                x=round((b.first + 1) / steps * WIDTH, 2),
                y=round(HEIGHT - (offset + b.size_bytes) / arena * HEIGHT, 2),
                width=round((b.last - b.first + 1) / steps * WIDTH, 2),
                height=round(max(b.size_bytes / arena * HEIGHT, 0.5), 2),
                hue=index * 137 % 360,
                title=f"{title}: {b.size_bytes:,} B at {offset:,}, calls {b.first} to {b.last}",
                is_at_peak=b.first <= peak.call <= b.last,
            )
        )
    quarters = [Tick(HEIGHT - HEIGHT * i / 4, f"{plan.arena_bytes * i // 4:,}") for i in range(5)]
    stride = max(1, -(-steps // 12))
    calls = [Tick(round((i + 1.5) / steps * WIDTH, 2), str(i)) for i in range(0, num_calls, stride)]
    return MemoryPicture(tuple(rectangles), tuple(quarters), tuple(calls), peak)


def _peak(buffers: list[Buffer], num_calls: int, steps: int, titles: Mapping[str, str]) -> Peak:
    """Bytes that start and end at each call, summed from left to right."""
    changes = [0] * (num_calls + 3)
    for b in buffers:
        changes[b.first + 1] += b.size_bytes
        changes[b.last + 2] -= b.size_bytes
    live = best = call = 0
    for i, change in enumerate(changes[:-1]):
        live += change
        if live > best:
            best, call = live, i - 1
    owners = sorted((b for b in buffers if b.first <= call <= b.last), key=lambda b: -b.size_bytes)
    named = tuple((titles.get(b.name, b.name), b.size_bytes) for b in owners)
    return Peak(call, round((call + 1.5) / steps * WIDTH, 2), best, named)
