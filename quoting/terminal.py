"""What a terminal shows: nothing in it moves the cursor, changes colours or reverses the reading."""

from __future__ import annotations

from .visible import visible


def for_terminal(text: str) -> str:
    """The text for a terminal or a log, its lines kept; the one door of everything that is printed."""
    return visible(text, keep="\n\t")
