"""What a table of a published network is made of. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Nonlinearity(Enum):
    """An activation of a published network."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    HARD_SWISH = "hard-swish"
    SILU = "silu"


class Gate(Enum):
    """What bounds the coefficients of a squeeze and excitation."""

    SIGMOID = "sigmoid"
    HARD_SIGMOID = "hard-sigmoid"


@dataclass(frozen=True)
class Squeeze:
    """Squeeze and excitation: mean, 1x1 to `channels`, activation, 1x1 back, gate; `has_norm`: batch normalization in between."""

    channels: int
    activation: Nonlinearity
    gate: Gate
    has_norm: bool = False


@dataclass(frozen=True)
class Conv:
    """A convolution to `out` channels with batch normalization; depthwise where `is_depthwise`, and then `out` is its input's."""

    out: int
    kernel: int
    stride: int = 1
    activation: Nonlinearity = Nonlinearity.RELU
    is_depthwise: bool = False


@dataclass(frozen=True)
class Bottleneck:
    """An inverted bottleneck: depthwise, expand to `expand`, depthwise, squeeze, project to `out`, and the identity added.

    kernels          of the depthwise convolution in the middle, each of its part of the channels (MixNet); none: there is none
    expand           0: no expanding convolution
    kernel_before    of the depthwise convolution before the expansion, which has no activation (MobileNetV4); 0: there is none
    activation       after the expansion and, unless the next says otherwise, after the depthwise convolution
    after_squeeze    the depthwise convolution's activation stands behind the squeeze (ReXNet)
    expand_parts, project_parts  the 1x1 convolutions are made of so many parts of the channels (MixNet)
    is_padded        the identity is added to the first channels where `out` is more than the input's (ReXNet)
    """

    out: int
    kernels: tuple[int, ...]
    expand: int = 0
    stride: int = 1
    kernel_before: int = 0
    activation: Nonlinearity = Nonlinearity.RELU6
    after_squeeze: Nonlinearity | None = None
    squeeze: Squeeze | None = None
    expand_parts: int = 1
    project_parts: int = 1
    is_padded: bool = False


@dataclass(frozen=True)
class Head:
    """From the last map to the logits: mean, a layer to `hidden` with `activation` (0: none), and one to the classes.

    has_norm  the hidden layer has batch normalization in place of a bias
    """

    hidden: int = 0
    activation: Nonlinearity = Nonlinearity.HARD_SWISH
    has_norm: bool = False


@dataclass(frozen=True)
class Table:
    """A network, from its first convolution to its logits."""

    blocks: tuple[Conv | Bottleneck, ...]
    head: Head = Head()
