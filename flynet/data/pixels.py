"""What a network wants of its pixels: (value from 0 to 1 - mean) / standard deviation, channel by channel. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from ...errors import UsageError


@dataclass(frozen=True)
class Pixels:
    """One value for all channels, or one for each (red, green, blue); in units of pixels from 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, values, low in (("mean", self.mean, "0"), ("standard deviation", self.std, "above 0")):
            if len(values) not in (1, 3):
                raise UsageError(f"the pixels' {name} has {len(values)} values; give one, or one each for red, green and blue")
            for value in values:
                if not (math.isfinite(value) and 0 <= value <= 1) or (name != "mean" and value == 0):
                    raise UsageError(
                        f"the pixels' {name} must be {low} to 1, not {value:g}: values are those of pixels from 0 to 1, "
                        "so divide what is meant for 0 to 255 by 255"
                    )

    def for_channels(self, channels: int) -> Pixels:
        """With a value for each channel; UsageError where a grey picture is given three."""
        spread = []
        for values in (self.mean, self.std):
            if len(values) not in (1, channels):
                raise UsageError(f"the network takes grey pictures, the pixels have {len(values)} values a channel; give one")
            spread.append(values if len(values) == channels else values * channels)
        return Pixels(*spread)

    def as_dict(self) -> dict[str, list[float]]:
        return {"mean": list(self.mean), "std": list(self.std)}


IMAGENET = Pixels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OURS = {1: Pixels((0.5,), (0.25,)), 3: IMAGENET}  # by channels: what our training gives


class PixelPreset(Enum):
    """Usual ways by name."""

    IMAGENET = "imagenet"
    UNIT = "unit"
    SIGNED = "signed"
    RAW = "raw"


_PRESETS = {
    PixelPreset.IMAGENET: IMAGENET,
    PixelPreset.UNIT: Pixels((0.0,), (1.0,)),  # 0 to 1
    PixelPreset.SIGNED: Pixels((0.5,), (0.5,)),  # -1 to 1
    PixelPreset.RAW: Pixels((0.0,), (1 / 255,)),  # 0 to 255
}


def choose_pixels(preset: str | None, mean: str | None, std: str | None) -> Pixels | None:
    """What the options `--pixels NAME` or `--mean R,G,B --std R,G,B` ask for; None where they ask for nothing."""
    if preset is not None and (mean is not None or std is not None):
        raise UsageError("--pixels names a mean and a standard deviation; give either it, or --mean and --std")
    if preset is not None:
        return _PRESETS[PixelPreset(preset)]
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise UsageError(f"{'--mean' if std is None else '--std'} needs {'--std' if std is None else '--mean'} too")
    return Pixels(_numbers("--mean", mean), _numbers("--std", std))


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not a list of numbers like 0.485,0.456,0.406") from error
