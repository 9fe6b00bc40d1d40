"""`ForeignText`: a text that came from a file and may not act."""

from __future__ import annotations

from dataclasses import dataclass

from .markup import escape_markup
from .visible import shorten, visible

SHOWN_CHARACTERS = 60


@dataclass(frozen=True, order=True)
class ForeignText:
    """A name as a file gives it, in `raw`: for comparisons, for JSON, and for the doors of `quoting`; never for printing.

    In a message (`str`, a format, `repr`) it shows itself harmless and short; in HTML and SVG it is escaped.
    """

    raw: str

    def __bool__(self) -> bool:
        return bool(self.raw)

    def __str__(self) -> str:
        return shorten(visible(self.raw), SHOWN_CHARACTERS)

    def __repr__(self) -> str:
        return f"'{self}'"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __html__(self) -> str:
        return escape_markup(self.raw)


NO_TEXT = ForeignText("")
