"""What a detector is made of. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import UsageError
from ..networks.classifier_config import MAX_CLASSES
from ..networks.flynet_config import FlyNetConfig

PYRAMID_CHANNELS = 64


@dataclass(frozen=True)
class DetectorConfig:
    """RetinaNet on a FlyNet; `classes` are the objects', without background; the backbone's own classes do not matter."""

    backbone: FlyNetConfig
    classes: int
    pyramid_channels: int = PYRAMID_CHANNELS

    def __post_init__(self) -> None:
        if not 1 <= self.classes <= MAX_CLASSES:
            raise UsageError(f"classes must be 1 to {MAX_CLASSES}, not {self.classes}")
        if not 1 <= self.pyramid_channels <= 1024:
            raise UsageError(f"pyramid channels must be 1 to 1024, not {self.pyramid_channels}")

    @property
    def name(self) -> str:
        return f"{self.backbone.name}-retinanet"

    @property
    def resolution(self) -> int:
        return self.backbone.resolution

    @property
    def channels(self) -> int:
        return self.backbone.channels

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """[1, C, H, W]"""
        return self.backbone.input_shape

    def as_dict(self) -> dict[str, float | int | str]:
        """Plain values, for a checkpoint."""
        return {**self.backbone.as_dict(), "classes": self.classes, "pyramid_channels": self.pyramid_channels}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> DetectorConfig:
        """The configuration that `as_dict` wrote; UsageError when it is none."""
        rest = dict(values)
        try:
            classes, channels = int(str(rest.pop("classes"))), int(str(rest.pop("pyramid_channels")))
        except (KeyError, ValueError) as error:
            raise UsageError(f"not a detector's configuration: {error}") from error
        return cls(replace(FlyNetConfig.from_dict(rest)), classes, channels)
