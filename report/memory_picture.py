"""The memory plan as a picture: time from left to right, the arena from bottom to top, one rectangle a buffer."""

from __future__ import annotations

from dataclasses import dataclass

from ..codegen.plan_memory import MemoryPlan

WIDTH, HEIGHT = 960, 320


@dataclass(frozen=True)
class Rectangle:
    """A buffer in SVG units, origin at the top left; `hue` tells neighbours apart."""

    x: float
    y: float
    width: float
    height: float
    hue: int
    title: str


def memory_picture(plan: MemoryPlan) -> list[Rectangle]:
    """One rectangle for each buffer of a plan, scaled to WIDTH x HEIGHT."""
    buffers = plan.lifetimes.buffers
    steps = max((b.last for b in buffers), default=0) + 2
    arena = max(plan.arena_bytes, 1)
    rectangles = []
    for index, b in enumerate(sorted(buffers, key=lambda b: (b.first, b.name))):
        offset = plan.offsets[b.name]
        rectangles.append(
            Rectangle(
                x=round((b.first + 1) / steps * WIDTH, 2),
                y=round(HEIGHT - (offset + b.size_bytes) / arena * HEIGHT, 2),
                width=round((b.last - b.first + 1) / steps * WIDTH, 2),
                height=round(max(b.size_bytes / arena * HEIGHT, 0.5), 2),
                hue=index * 137 % 360,
                title=f"{b.name}: {b.size_bytes:,} B at {offset:,}, calls {b.first} to {b.last}",
            )
        )
    return rectangles
