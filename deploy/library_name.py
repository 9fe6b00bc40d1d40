"""The name of a C library: the prefix of its identifiers, files and macros."""

from __future__ import annotations

import re

from ..errors import UsageError
from ..firmware.templates import firmware_names

NAME_CHARACTERS = 40
# of C and of its libraries: a header of ours with such a name would be found in place of theirs
_STANDARD_HEADERS = (
    "alloca assert complex ctype endian errno features fenv float inttypes iso646 limits locale malloc math newlib sched setjmp "
    "signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar "
    "unistd wchar wctype"
)
# <name>_init, <name>_trace and the like are others' already: of the kernels, of the harness, of C's threads, of POSIX
_PREFIXES = "ft flag cnd mtx sem"
_TAKEN = frozenset({*_STANDARD_HEADERS.split(), *_PREFIXES.split()})


def library_name(text: str) -> str:
    """A C identifier of at most 40 lower-case characters made of the name of a network or a file: `flynet_h3_0_4x`."""
    cleaned = _cleaned(text)
    return cleaned if cleaned and cleaned[0].isalpha() and not _is_taken(cleaned) else _cleaned(f"net_{cleaned}")


def given_library_name(name: str) -> str:
    """The name that a user gave, in lower case; `UsageError` where it is not an identifier or taken."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or len(name) > NAME_CHARACTERS:
        raise UsageError(f"--name {name!r} must be a C identifier of at most {NAME_CHARACTERS} characters")
    cleaned = _cleaned(name)
    if _is_taken(cleaned):
        raise UsageError(f"--name {name} is taken: a header of C or a file of the firmware has this name; try net_{name}")
    return cleaned


def _cleaned(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_").lower()[:NAME_CHARACTERS].rstrip("_")


def _is_taken(name: str) -> bool:
    return name in _TAKEN or name in firmware_names() or name.startswith(("ft_", "posix_", "pthread_"))
