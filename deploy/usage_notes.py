"""What a user of a C library must know of its ends, in its header: pixels and class names. No code depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..codegen.c_format import block_comment
from ..codegen.c_library import CLibrary
from ..quoting import c_string
from ..report.schema import PixelFacts

_BEFORE = "/* Alignment of the arena"


def with_usage_notes(library: CLibrary, pixels: PixelFacts | None, class_names: Sequence[str]) -> CLibrary:
    """The library with what is known of the first input's pixels and of the first output's scores in its header."""
    header, macro = f"{library.name}.h", library.name.upper()
    lines: list[str] = []
    if pixels is not None:
        how = (
            f"How the pixels of input 0 are normalised, channel by channel: real = (byte / 255 - MEAN) / STD, and "
            f"stored = round(real / {macro}_INPUT0_SCALE) + {macro}_INPUT0_ZERO_POINT, half to even, clamped to -128..127."
        )
        lines += [block_comment([how]), *(_array(f"{macro}_INPUT0_{name}", values) for name, values in _parts(pixels)), ""]
    if class_names:
        lines += [block_comment(["The classes of output 0, in the order of its scores: const char *const classes[] = ..."])]
        names = ", \\\n  ".join(c_string(name) for name in class_names)
        lines += [f"#define {macro}_OUTPUT0_CLASSES {len(class_names)}"]
        lines += [f"#define {macro}_OUTPUT0_CLASS_NAMES {{ \\\n  {names} \\\n}}", ""]
    if not lines:
        return library
    text = library.files[header]
    at = text.index(_BEFORE)
    return replace(library, files={**library.files, header: text[:at] + "\n".join(lines) + "\n" + text[at:]})


def _parts(pixels: PixelFacts) -> tuple[tuple[str, Sequence[float]], tuple[str, Sequence[float]]]:
    return ("MEAN", pixels.mean), ("STD", pixels.std)


def _array(name: str, values: Sequence[float]) -> str:
    """A list for an initializer; each value is the float32 that C reads back."""
    return f"#define {name} {{{', '.join(f'{_float(value)}f' for value in values)}}}"


def _float(value: float) -> str:
    text = str(np.float32(value))
    return text if any(mark in text for mark in ".e") else f"{text}.0"
