"""Shapes of inputs as a command line has them: `1,3,96,96`, or `NAME=1,3,96,96` of each of several. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError

ONLY_INPUT = ""  # the name of the only input, whatever the file calls it
_MOST_AXES = 6


def parse_shapes(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by the name of their input, `ONLY_INPUT` where there is none."""
    found: dict[str, tuple[int, ...]] = {}
    for text in given:
        name, _, sizes = text.rpartition("=")
        try:
            shape = tuple(int(part) for part in sizes.replace("x", ",").split(","))
        except ValueError as error:
            raise UsageError(f"--input {text!r} is no shape like 1,3,96,96 or NAME=1,3,96,96") from error
        if not 0 < len(shape) <= _MOST_AXES or min(shape) < 1:
            raise UsageError(f"--input {text!r} must have 1 to {_MOST_AXES} axes of 1 or more")
        if name in found or (found and ONLY_INPUT in (name, *found)):
            raise UsageError(f"--input {text!r}: say each input's shape once, and of several inputs their names: NAME=1,3,96,96")
        found[name] = shape
    return found
