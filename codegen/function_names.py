"""Names of C functions: the kernel and its fixed sizes, and where several would have one name, what they differ in.

A name may tell any trait of a function: a field that is part of its code, a size that is fixed, an element type. Of functions
that would have one name, as few traits are told as make them different, those first that tell most apart.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

MOST_NUMBERS = 4  # of a tuple that a name tells


def function_names(wanted: Sequence[str], traits: Sequence[Mapping[str, str]]) -> list[str]:
    """A name for each function, all different; a number tells apart only what no trait does.

    traits  of each function: which -> how a name tells it, "" or left out: not at all; those to be told first come first
    """
    names = list(wanted)
    for name in dict.fromkeys(wanted):
        alike = [i for i, other in enumerate(wanted) if other == name]
        for i, told in zip(alike, _distinctions([traits[i] for i in alike]), strict=True):
            names[i] = "_".join((name, *told))
    given: set[str] = set(names)
    taken: set[str] = set()
    for i, name in enumerate(names):
        if name in taken:
            names[i] = next(new for count in itertools.count(2) if (new := f"{name}_{count}") not in given)
            given.add(names[i])
        taken.add(names[i])
    return names


def code_traits(path: str, value: object, name: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(which, how a name tells it) of a field that is code: a flag, a number, a word, a few numbers, or a dataclass of such.

    The numbers of a dataclass inside another are told with the field that it is: `prefix`.
    """
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            inner_prefix = f"{field.name}_" if dataclasses.is_dataclass(inner) else prefix
            yield from code_traits(f"{path}.{field.name}", inner, field.name, inner_prefix)
    else:
        told = _told(f"{prefix}{name}", value)
        if told is not None:
            yield path, told


def size_trait(name: str, value: int) -> str:
    """How a name tells a size."""
    apart = "_" if value < 0 or name[-1].isdigit() else ""
    return f"{name}{apart}{value}".replace("-", "minus")


def _told(name: str, value: object) -> str | None:
    """None: not in a name."""
    if isinstance(value, bool):
        return name.removeprefix("is_").removeprefix("has_") if value else ""
    if isinstance(value, int):
        return size_trait(name, value)
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, str):
        return value.removeprefix("ft_") if value.isidentifier() else None
    if isinstance(value, tuple) and len(value) <= MOST_NUMBERS and all(type(v) is int and v >= 0 for v in value):
        return name + "x".join(map(str, value))
    return None


def _distinctions(traits: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """What to tell of each of some functions so that they differ, as far as they do."""
    told: list[list[str]] = [[] for _ in traits]
    candidates = list(dict.fromkeys(which for each in traits for which in each))
    while (parts := _parts(told)) < len(traits):

        def parts_with(which: str) -> int:
            return _parts([[*before, each.get(which, "")] for before, each in zip(told, traits, strict=True)])

        best = max(candidates, key=parts_with, default=None)  # the first of equals
        if best is None or parts_with(best) == parts:
            break
        for words, each in zip(told, traits, strict=True):
            words.append(each.get(best, ""))
    return [[word for word in words if word] for words in told]


def _parts(told: Sequence[Sequence[str]]) -> int:
    return len({tuple(words) for words in told})
