"""`<NAME>_STACK_BYTES` in a library's header: a figure that is known only after linking, and that no code depends on."""

from __future__ import annotations

from dataclasses import replace

from ..quoting import c_comment
from .c_format import block_comment
from .c_library import CLibrary

_BEGIN = "Stack of "


def with_stack_bytes(library: CLibrary, stack_bytes: int, built_with: str) -> CLibrary:
    """The library with the bound of `<name>_invoke`'s stack in its header, before what it defines of inputs and outputs.

    built_with   the compiler and its flags, with which the bound was found
    """
    header, macro = f"{library.name}.h", library.name.upper()
    lines = _without(library.files[header])
    at = next(i for i, line in enumerate(lines) if line.startswith(f"#define {macro}_NUM_OPS "))
    comment = block_comment(
        [
            f"{_BEGIN}{library.name}_invoke at most, with all that it calls, as built by {c_comment(built_with)};"
            " other flags need another amount, and interrupts their own."
        ]
    )
    lines[at:at] = [f"{comment}\n", f"#define {macro}_STACK_BYTES {stack_bytes}u\n"]
    return replace(library, files={**library.files, header: "".join(lines)})


def without_stack_bytes(header: str) -> str:
    """A header as it was emitted."""
    return "".join(_without(header))


def _without(header: str) -> list[str]:
    lines = header.splitlines(keepends=True)
    begin = next((i for i, line in enumerate(lines) if line.startswith(f"/* {_BEGIN}")), None)
    if begin is not None:
        end = next(i for i in range(begin, len(lines)) if lines[i].startswith("#define "))
        del lines[begin : end + 1]
    return lines
