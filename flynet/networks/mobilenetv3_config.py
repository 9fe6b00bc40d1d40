"""MobileNetV3-Small as a table of stages and a configuration. No torch here.

Source: Howard et al., "Searching for MobileNetV3", table 2; the width rule is that of MobileNetV2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .classifier_config import ClassifierConfig, make_divisible, require_width
from .flynet_config import Activation

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


@dataclass(frozen=True)
class MobileNetV3Config(ClassifierConfig):
    """A MobileNetV3-Small, whole: two equal configurations are the same network."""

    FAMILY: ClassVar[str] = "MobileNetV3"

    width: float = 1.0
    resolution: int = 224
    classes: int = 1000
    channels: int = 3

    def __post_init__(self) -> None:
        require_width(self.width)
        self.require_task()

    @property
    def name(self) -> str:
        return f"mobilenetv3-small-{self.width:g}x"

    @property
    def hidden_channels(self) -> int:
        """Of the classifier: grows with the width, but does not shrink (0.35x has 1.4 M parameters in the paper's table 3)."""
        return self.scaled(HIDDEN_CHANNELS) if self.width > 1 else HIDDEN_CHANNELS

    def scaled(self, channels: int) -> int:
        """A channel count at this width."""
        return make_divisible(channels * self.width)
