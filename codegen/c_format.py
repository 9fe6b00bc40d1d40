"""Python values as C text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .kernels.base import C_TYPES

LINE_WIDTH = 120
_BREAKS = (", ", " + ", " ? ", " : ", "&& ", "|| ", "] ")
VALUES_PER_LINE = {"int8": 16, "uint8": 16, "int16": 14, "uint16": 14, "int32": 8, "uint32": 8}


def c_type(values: npt.NDArray[np.integer]) -> str:
    """The <stdint.h> type of an array's elements."""
    return C_TYPES[values.dtype.name]


def c_integer(value: int) -> str:
    """An integer literal that no compiler warns about: the least int32 has no literal of its own."""
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def c_array(values: npt.NDArray[np.integer]) -> str:
    """The initialiser of an array, wrapped and indented."""
    flat = values.reshape(-1)
    suffix = "u" if values.dtype.name == "uint32" else ""
    width = VALUES_PER_LINE[values.dtype.name]
    texts = [c_integer(int(v)) + suffix for v in flat]
    return ",\n".join("  " + ", ".join(texts[i : i + width]) for i in range(0, len(texts), width))


def c_float(value: float) -> str:
    """A float literal that reads back as the same float32."""
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{text}f"


def block_comment(paragraphs: Sequence[str], indent: int = 0, width: int = LINE_WIDTH) -> str:
    """A comment whose paragraphs each begin a line; the first line's indentation is the caller's."""
    lines = [line for text in paragraphs for line in textwrap.wrap(text, width - indent - 6, break_on_hyphens=False)]
    return "/* " + f"\n{' ' * indent} * ".join(lines) + " */"


def wrapped(statement: str, indent: int, width: int = LINE_WIDTH) -> str:
    """A statement over as many lines as it needs, broken behind commas and operators; the first is indented by the caller.

    A part that is longer than a line is broken behind its first parenthesis too.
    """
    parts: list[str] = []
    for part in _breakable(statement):
        parts += re.split(r"(?<=\()", part, maxsplit=1) if len(part) > width - indent else [part]
    return _filled(parts, indent, width)


def _filled(parts: Sequence[str], indent: int, width: int) -> str:
    """Parts of a statement in lines as full as they can be; the first is indented by the caller."""
    lines = [""]
    for part in parts:
        if len(lines[-1]) + len(part.rstrip()) > width - indent - 4 * (len(lines) > 1) and lines[-1]:
            lines.append("")
        lines[-1] += part
    return f"\n{' ' * (indent + 4)}".join(line.rstrip() for line in lines)


def _breakable(statement: str) -> list[str]:
    """A statement's parts, each up to a comma or an operator; string literals stay whole."""
    parts = [""]
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|, | [+?:] |&& |\|\| |\] |.', statement):
        parts[-1] += token
        if token in _BREAKS:
            parts.append("")
    return parts


def within_width(text: str) -> str:
    """A C file whose long lines are broken: names of a network may be longer than those that a template was written for."""
    return "\n".join(_broken(line) if len(line) > LINE_WIDTH else line for line in text.split("\n"))


def _broken(line: str) -> str:
    """A line over as many as it needs; a comment behind code moves above it. What has no place to break stays as it is."""
    code = line.strip()
    indent = len(line) - len(line.lstrip())
    space = " " * indent
    if code.startswith("* "):
        further = "* " + " " * (2 if code.startswith("* - ") else 0)
        return textwrap.fill(code, LINE_WIDTH, initial_indent=space, subsequent_indent=space + further, break_on_hyphens=False)
    if code.startswith("/*") and "*/" not in code[:-2]:
        broken = block_comment([code.removeprefix("/*").removesuffix("*/").strip()], indent)
        return space + (broken if code.endswith("*/") else broken.removesuffix(" */"))
    if code.endswith("*/") and code.count("/*") == 1:
        code, comment = (part.strip() for part in code.removesuffix("*/").split("/*"))
        return f"{space}{block_comment([comment], indent)}\n{within_width(space + code)}"
    if code.endswith("\\"):
        return line
    if code.startswith("#"):
        return re.sub(r"^(#define \w+(?:\([^)]*\))?) ", r"\1 \\\n  ", line)
    text = space + wrapped(code, indent)
    if all(len(part) <= LINE_WIDTH for part in text.split("\n")):
        return text
    return space + _filled(re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^ ])+ ?', code), indent, LINE_WIDTH)  # at any space


def shape_text(shape: tuple[int, ...]) -> str:
    """[1,56,56,8]"""
    return "[" + ",".join(str(d) for d in shape) + "]"


def tidy(code: str) -> str:
    """C with the indentation that its braces ask for and without blank lines: templates may then ignore both.

    A line that starts with `*` continues a comment, one behind an open parenthesis a statement.
    """
    lines, depth, open_parentheses = [], 0, 0
    for line in (line.strip() for line in code.splitlines()):
        if line:
            outer = depth - line.startswith("}")
            further = " " if line.startswith("* ") else "    " if open_parentheses else ""
            indent = 2 * outer + len(further)
            lines.append(" " * indent + (line if line.startswith(("* ", "/*")) else wrapped(line, indent)))
            depth += line.count("{") - line.count("}")
            open_parentheses += line.count("(") - line.count(")") if not line.startswith(("* ", "/*")) else 0
    return "\n".join(lines)
