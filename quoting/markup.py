"""HTML and SVG: Jinja's autoescape quotes what is special, `markup_finalize` shows what is hidden."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from .visible import visible

_LAYOUT = "\n\t"


def escape_markup(text: str) -> str:
    """The text as the content or the quoted attribute of an element of HTML or SVG (and of any XML)."""
    return str(escape(visible(text, keep=_LAYOUT)))


def markup_finalize(value: Any) -> Any:
    """For `finalize` of a Jinja environment with autoescape: characters that XML forbids or a reader misses are shown."""
    return visible(value, keep=_LAYOUT) if isinstance(value, str) and not isinstance(value, Markup) else value
