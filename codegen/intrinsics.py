"""The C that kernels share, of which a library holds the sections that its kernels use."""

from __future__ import annotations

import re
from collections.abc import Iterable

import jinja2

SECTIONS = (
    "kernels/lanes.h",
    "kernels/gemm.h",
    "kernels/im2col.h",
    "kernels/elementwise.h.j2",
    "kernels/channel_statistics.h",
    "kernels/fixed_point_16.h",
    "kernels/int16x8/arithmetic.h",
    "kernels/layer_norm.h",
    "kernels/lstm.h",
    "kernels/inverse_sqrt.h",
    "kernels/plain/scale.h",
    "kernels/plain/products.h",
    "kernels/plain/rows.h",
    "kernels/plain/depthwise.h",
    "kernels/plain/product.h",
    "kernels/plain/statistics.h",
    "kernels/plain/elementwise.h",
)
"""Templates, each of which uses names of those before it alone."""

_NAME = re.compile(r"\b(?:ft|FT)_\w+")


def intrinsics(environment: jinja2.Environment, functions: Iterable[str] | None = None) -> str:
    """The shared C that the texts of functions use; without functions, all of it."""
    sections = SECTIONS if functions is None else _used(environment, functions)
    return environment.get_template("kernels/intrinsics.h.j2").render(sections=sections)


def _used(environment: jinja2.Environment, functions: Iterable[str]) -> list[str]:
    """The sections that define a name which the functions, or later sections that are used, have."""
    names = [_names(environment.get_template(section).render()) for section in SECTIONS]
    known = _names(environment.get_template("kernels/intrinsics.h.j2").render(sections=()))
    defined = []
    for section in names:
        defined.append(section - known)
        known |= section
    wanted = set().union(*(_names(text) for text in functions))
    used = []
    for template, there, own in reversed(list(zip(SECTIONS, names, defined, strict=True))):
        if own & wanted:
            used.append(template)
            wanted |= there
    return used[::-1]


def _names(text: str) -> set[str]:
    return set(_NAME.findall(text))
