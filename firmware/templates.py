"""Rendering of `firmware_templates`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import jinja2

from ..codegen.c_format import within_width
from ..quoting import c_comment, c_string, code_finalize, make_word

_PACKAGE = f"{__package__.rpartition('.')[0]}.firmware_templates"


def template_text(path: str) -> str:
    """The text of a file of the room, `common/main.c.j2` for example."""
    return files(_PACKAGE).joinpath(path).read_text(encoding="utf-8")


@cache
def firmware_names() -> frozenset[str]:
    """The names, without endings, of all files that a firmware project or a harness may hold: no library can have one of them."""
    folders = (entry for entry in files(_PACKAGE).iterdir() if entry.is_dir())
    return frozenset(file.name.partition(".")[0] for folder in folders for file in folder.iterdir())


def render(path: str, values: Mapping[str, object]) -> str:
    """A template filled in; a name that `values` lacks is an error."""
    return _environment().get_template(path).render(values)


def write_rendered(path: str, folder: Path, values: Mapping[str, object], name: str | None = None) -> None:
    """Write one file of the room into a folder: rendered when it ends in .j2, as it is otherwise."""
    source = Path(path)
    text = render(path, values) if source.suffix == ".j2" else template_text(path)
    target = folder / (name or source.name.removesuffix(".j2"))
    write_if_changed(target, within_width(text) if target.suffix in (".c", ".h") else text)


def write_if_changed(path: Path, text: str) -> None:
    """Leave a file alone that already holds the text, so that make does not build it again."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template_text),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=code_finalize,
    )
    environment.filters |= {"c_comment": c_comment, "c_string": c_string, "make_word": make_word}
    environment.globals["hex"] = "0x{:08x}".format
    return environment
