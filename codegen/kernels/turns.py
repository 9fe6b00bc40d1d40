"""Loops whose code is repeated a few times in one turn."""

from __future__ import annotations

from dataclasses import dataclass

from .parameters import code, size


@dataclass(frozen=True)
class Turns:
    """`turns` times the loop's code `steps` times, a power of two, then `rest` times by itself."""

    shift: int = code()
    turns: int = size()
    rest: int = size()


def in_turns(count: int, steps: int) -> Turns:
    """`count` times, `steps` of them in one turn."""
    return Turns(steps.bit_length() - 1, *divmod(count, steps))
