"""Text in which nothing acts: every character that is not a plain printable one becomes its escape."""

from __future__ import annotations

import unicodedata

# Cc control (ESC, CR, NUL), Cf format (directions, joiners), Cs lone surrogates, Co private, Cn unassigned, Zl and Zp separators
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, keep: str = "") -> str:
    r"""The text with each hidden character as `\x1b`, `\u202e` or `\U000e0001`; those in `keep` stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char in keep or unicodedata.category(char) not in _HIDDEN else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters: the middle of a longer text gives way to `...`, since names differ at their ends."""
    if len(text) <= limit:
        return text
    head = (limit - 3) // 2
    return f"{text[:head]}...{text[len(text) - (limit - 3 - head) :]}"
