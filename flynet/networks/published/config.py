"""The small networks of the literature by name, and their configuration. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ....errors import UsageError
from ..classifier_config import ClassifierConfig, require_width


@dataclass(frozen=True)
class PublishedNetwork:
    """A network as a paper has it.

    widths  the multipliers that its table has; empty: any
    """

    title: str
    widths: tuple[float, ...] = ()


NETWORKS: Mapping[str, PublishedNetwork] = {
    "mobilenetv1": PublishedNetwork("MobileNet V1"),
    "mobilenetv2": PublishedNetwork("MobileNetV2"),
    "mobilenetv3-large": PublishedNetwork("MobileNetV3-Large"),
    "mobilenetv4-conv-small": PublishedNetwork("MobileNetV4-Conv-Small"),
    "efficientnet-b0": PublishedNetwork("EfficientNet-B0"),
    "efficientnet-lite0": PublishedNetwork("EfficientNet-Lite0"),
    "rexnet": PublishedNetwork("ReXNet"),
    "mixnet-s": PublishedNetwork("MixNet-S"),
    "shufflenetv1": PublishedNetwork("ShuffleNet V1 with three groups"),
    "shufflenetv2": PublishedNetwork("ShuffleNet V2", widths=(0.5, 1.0, 1.5, 2.0)),
    "ghostnet": PublishedNetwork("GhostNet"),
    "squeezenet": PublishedNetwork("SqueezeNet 1.1"),
    "repvgg-a0": PublishedNetwork("RepVGG-A0"),
    "mobileone-s0": PublishedNetwork("MobileOne-S0"),
}


@dataclass(frozen=True)
class PublishedConfig(ClassifierConfig):
    """A published network at a width, whole: two equal configurations are the same network."""

    FAMILY: ClassVar[str] = "published network"

    architecture: str = "mobilenetv2"
    width: float = 1.0
    resolution: int = 224
    classes: int = 1000
    channels: int = 3

    def __post_init__(self) -> None:
        if self.architecture not in NETWORKS:
            raise UsageError(f"unknown published network {self.architecture!r}; this program knows {', '.join(NETWORKS)}")
        widths = NETWORKS[self.architecture].widths
        if widths and self.width not in widths:
            raise UsageError(f"{self.architecture} has widths {', '.join(f'{width:g}' for width in widths)}, not {self.width:g}")
        if not widths:
            require_width(self.width)
        self.require_task()

    @property
    def name(self) -> str:
        return f"{self.architecture}-{self.width:g}x"
