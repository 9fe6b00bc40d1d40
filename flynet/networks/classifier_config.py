"""What the configurations of all image classifiers share: the task, its bounds, and travelling as plain values. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from enum import Enum
from typing import Any, ClassVar, Self, cast

from ...errors import UsageError

MAX_WIDTH = 1.5
MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024
MAX_CLASSES = 100_000


class ClassifierConfig:
    """Base of frozen dataclasses whose fields have defaults, three of them these."""

    resolution: int
    classes: int
    channels: int
    FAMILY: ClassVar[str]  # for messages

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """[1, C, H, W]"""
        return (1, self.channels, self.resolution, self.resolution)

    def require_task(self) -> None:
        """UsageError where resolution, classes or channels cannot be."""
        require_range("resolution", self.resolution, MIN_RESOLUTION, MAX_RESOLUTION)
        require_range("classes", self.classes, 2, MAX_CLASSES)
        if self.channels not in (1, 3):
            raise UsageError(f"channels must be 1 (grey) or 3 (colour), not {self.channels}")

    def as_dict(self) -> dict[str, float | int | str]:
        """Plain values, for a checkpoint or a report."""
        values: dict[str, Any] = asdict(cast(Any, self))
        return {key: value.value if isinstance(value, Enum) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """The configuration that `as_dict` wrote; UsageError when a key or a value is not of this class."""
        known: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(cast(Any, cls))}
        if unknown := sorted(set(values) - set(known)):
            raise UsageError(f"unknown {cls.FAMILY} option {unknown[0]!r}")
        try:
            return cls(**{key: known[key](value) for key, value in values.items()})
        except (TypeError, ValueError) as error:
            raise UsageError(f"not a {cls.FAMILY} configuration: {error}") from error


def require_range(what: str, value: int, low: int, high: int) -> None:
    """UsageError for a value outside low..high."""
    if not low <= value <= high:
        raise UsageError(f"{what} must be {low} to {high}, not {value}")


def require_width(width: float, advice: str = "") -> None:
    """UsageError for a multiplier of the channels that is none."""
    if not (math.isfinite(width) and 0 < width <= MAX_WIDTH):
        raise UsageError(f"width must be above 0 and at most {MAX_WIDTH}, not {width:g}{advice}")


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of the divisor, at least one, one step up where that loses more than a tenth. Source: MobileNetV2."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
