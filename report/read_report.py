"""report.json as it was read back: every value of its type, or one line that says which is not."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from ..errors import BadData
from ..quoting import shorten, visible
from .schema import SCHEMA, Report

_MOST = 1 << 62  # of any whole number: sums and shares of larger ones would not be numbers any more
_SHOWN_CHARACTERS = 60


class _Contradiction(ValueError):
    """A record whose values are of their types, and whose figures contradict each other."""


def read_report(content: bytes, name: str) -> Report:
    """The report in a file's bytes; raises `BadData` for anything else. Keys that this version does not know are left out."""
    try:
        found = json.loads(content.decode(), parse_constant=_not_finite)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        report: Report = _value(Report, found, "")
        return report
    except (ValueError, RecursionError) as error:  # of JSON and UTF-8 as well
        raise BadData(f"{name} is damaged: {error}") from error


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _value(kind: Any, found: Any, where: str) -> Any:
    """`found` as a value of an annotated type; `ValueError` names the place."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _one_of(inner, found, where)
    if origin is tuple:
        if not isinstance(found, list):
            raise _wrong(where, found, "a list")
        return tuple(_value(inner[0], entry, f"{where}[{i}]") for i, entry in enumerate(found))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(found, dict):
            raise _wrong(where, found, "an object")
        return {name: _value(inner[1], entry, f"{where}.{shorten(visible(name), 30)}") for name, entry in found.items()}
    if dataclasses.is_dataclass(kind):
        return _record(kind, found, where)
    if kind is float and type(found) in (int, float) and abs(found) <= _MOST and math.isfinite(found):
        return float(found)
    if kind is int and type(found) is int and abs(found) <= _MOST:
        return found
    if kind in (str, bool, types.NoneType) and type(found) is kind:
        return found
    raise _wrong(where, found, "null" if kind is types.NoneType else kind.__name__)


def _one_of(kinds: tuple[Any, ...], found: Any, where: str) -> Any:
    """The first alternative that takes the value; of a record that fits none, the complaint of the one that it resembles."""
    errors = []
    for kind in kinds:
        try:
            return _value(kind, found, where)
        except ValueError as error:
            errors.append(error)
    raise max(errors, key=lambda error: (isinstance(error, _Contradiction), str(error).count(".")))


def _record(kind: Any, found: Any, where: str) -> Any:
    if not isinstance(found, dict):
        raise _wrong(where, found, "an object")
    types_of = typing.get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        place = f"{where}.{field.name}".lstrip(".")
        if field.name in found:
            values[field.name] = _value(types_of[field.name], found[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"it lacks {place}")
    try:
        return kind(**values)
    except ValueError as error:
        raise _Contradiction(f"{where or 'it'} contradicts itself: {error}") from error


def _wrong(where: str, found: Any, wanted: str) -> ValueError:
    shown = shorten(visible(json.dumps(found)[: 4 * _SHOWN_CHARACTERS]), _SHOWN_CHARACTERS)
    return ValueError(f"{where or 'it'} is {shown}, not {wanted}")
