"""HTML and SVG: Jinja's autoescape quotes what is special, `markup_finalize` shows what is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from .visible import visible

if TYPE_CHECKING:
    import jinja2

_LAYOUT = "\n\t"


def markup_environment(package: str) -> jinja2.Environment:
    """Jinja for templates of HTML and SVG beside the modules of a package: undefined names are errors, all text is quoted."""
    import jinja2  # not at the top: the command line knows this room before it needs a template

    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=markup_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def escape_markup(text: str) -> str:
    """The text as the content or the quoted attribute of an element of HTML or SVG (and of any XML)."""
    return str(escape(visible(text, keep=_LAYOUT)))


def markup_finalize(value: Any) -> Any:
    """For `finalize` of a Jinja environment with autoescape: characters that XML forbids or a reader misses are shown."""
    return visible(value, keep=_LAYOUT) if isinstance(value, str) and not isinstance(value, Markup) else value
