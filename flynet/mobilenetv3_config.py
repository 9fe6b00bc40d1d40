"""MobileNetV3-Small as a table of stages and a configuration. No torch here.

Source: Howard et al., "Searching for MobileNetV3", table 2; the width rule is that of MobileNetV2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import UsageError
from .config import MAX_CLASSES, MAX_RESOLUTION, MAX_WIDTH, MIN_RESOLUTION, Activation

STEM_CHANNELS = 16
HIDDEN_CHANNELS = 1024
LAST_EXPANSION = 6  # the last 1x1 convolution has this many times the last block's width
SQUEEZE = 4


@dataclass(frozen=True)
class MobileStage:
    """One block at width 1.0: expand to `expand`, depthwise `kernel` x `kernel`, squeeze and excite, project to `out`."""

    kernel: int
    expand: int
    out: int
    has_squeeze: bool
    activation: Activation
    stride: int


_R, _HS = Activation.RELU, Activation.HARD_SWISH
MOBILE_STAGES = (
    #           kernel expand out squeeze activation stride
    MobileStage(3, 16, 16, True, _R, 2),  # no expand convolution: expand = in
    MobileStage(3, 72, 24, False, _R, 2),
    MobileStage(3, 88, 24, False, _R, 1),
    MobileStage(5, 96, 40, True, _HS, 2),
    MobileStage(5, 240, 40, True, _HS, 1),
    MobileStage(5, 240, 40, True, _HS, 1),
    MobileStage(5, 120, 48, True, _HS, 1),
    MobileStage(5, 144, 48, True, _HS, 1),
    MobileStage(5, 288, 96, True, _HS, 2),
    MobileStage(5, 576, 96, True, _HS, 1),
    MobileStage(5, 576, 96, True, _HS, 1),
)


def make_divisible(channels: float) -> int:
    """The nearest multiple of 8, at least 8, one step up where that loses more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


@dataclass(frozen=True)
class MobileNetV3Config:
    """A MobileNetV3-Small, whole: two equal configurations are the same network."""

    width: float = 1.0
    resolution: int = 224
    classes: int = 1000
    channels: int = 3

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width) and 0 < self.width <= MAX_WIDTH):
            raise UsageError(f"width must be above 0 and at most {MAX_WIDTH}, not {self.width:g}")
        for what, low, high in (("resolution", MIN_RESOLUTION, MAX_RESOLUTION), ("classes", 2, MAX_CLASSES)):
            if not low <= getattr(self, what) <= high:
                raise UsageError(f"{what} must be {low} to {high}, not {getattr(self, what)}")
        if self.channels not in (1, 3):
            raise UsageError(f"channels must be 1 (grey) or 3 (colour), not {self.channels}")

    @property
    def name(self) -> str:
        return f"mobilenetv3-small-{self.width:g}x"

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """[1, C, H, W]"""
        return (1, self.channels, self.resolution, self.resolution)

    @property
    def hidden_channels(self) -> int:
        """Of the classifier: grows with the width, but does not shrink (0.35x has 1.4 M parameters in the paper's table 3)."""
        return self.scaled(HIDDEN_CHANNELS) if self.width > 1 else HIDDEN_CHANNELS

    def scaled(self, channels: int) -> int:
        """A channel count at this width."""
        return make_divisible(channels * self.width)

    def as_dict(self) -> dict[str, float | int | str]:
        """Plain values, for a checkpoint or a report."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> MobileNetV3Config:
        """The configuration that `as_dict` wrote; UsageError when a key or a value is not of this class."""
        known: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(cls)}
        if unknown := sorted(set(values) - set(known)):
            raise UsageError(f"unknown MobileNetV3 option {unknown[0]!r}")
        try:
            return cls(**{key: known[key](value) for key, value in values.items()})
        except (TypeError, ValueError) as error:
            raise UsageError(f"not a MobileNetV3 configuration: {error}") from error
