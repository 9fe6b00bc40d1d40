"""C and Make, where a text between two delimiters must not end them."""

from __future__ import annotations

from typing import Any

from .foreign import ForeignText
from .visible import shorten, visible

COMMENT_CHARACTERS = 100


class UnquotedText(TypeError):
    """A template was given a stranger's text without a door; a bug of the template."""


def _raw(text: str | ForeignText) -> str:
    return text.raw if isinstance(text, ForeignText) else text


def c_comment(text: str | ForeignText, limit: int = COMMENT_CHARACTERS) -> str:
    """The text inside a comment of C or of an assembler: one line of ASCII, which neither ends nor opens a comment.

    A backslash is doubled and never last, so that it joins no lines; question marks of trigraphs stand apart.
    """
    plain = visible(_raw(text)).replace("\\", "\\\\").encode("ascii", "backslashreplace").decode("ascii")
    line = shorten(plain, limit)
    for pair in ("*/", "/*", "??", "//"):
        while pair in line:
            line = line.replace(pair, f"{pair[0]} {pair[1]}")
    return line + "." if line.endswith(("\\", "*", "/", "?")) else line


def c_string(text: str | ForeignText) -> str:
    r"""A string literal of C, quotes included: UTF-8, everything but plain ASCII as three octal digits.

    `?` is escaped as well, so that no trigraph arises. A lone surrogate is kept as three bytes. NUL ends the C string early.
    """
    plain = []
    for byte in _raw(text).encode("utf-8", "surrogatepass"):
        char = chr(byte)
        plain.append(f"\\{char}" if char in '"\\?' else char if " " <= char <= "~" else f"\\{byte:03o}")
    return f'"{"".join(plain)}"'


def make_word(text: str | ForeignText) -> str:
    """A file's name as one word of a makefile and of the shell of its recipes; `ValueError` where there is no spelling for it.

    Make splits words at blanks and has no quoting that all its functions respect; `#`, `$`, `%`, `:`, quotes and the like mean
    something to it or to the shell. So only names of plain characters pass.
    """
    raw = _raw(text)
    if not raw or not all(char.isascii() and (char.isalnum() or char in "._-+/@,") for char in raw) or raw[0] in "-@":
        raise ValueError(f"{visible(raw)!r} cannot be a word of a makefile")
    return raw


def code_finalize(value: Any) -> Any:
    """For `finalize` of a Jinja environment that writes code: a `ForeignText` must have passed a door (`| c_comment`)."""
    if isinstance(value, ForeignText):
        raise UnquotedText(f"{value!r} reaches code without a door; use c_comment, c_string or make_word")
    return value
