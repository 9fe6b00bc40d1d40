"""What a FlyNet is made of: the table of stages, the width rule and `FlyNetConfig`. No torch here.

Source: "FlyNet: Max it, Excite it, Quantize it"; the table is the paper's network at width 1.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ...errors import UsageError
from .classifier_config import ClassifierConfig, require_range, require_width


class Activation(Enum):
    RELU = "relu"
    HARD_SWISH = "hardswish"


class Residual(Enum):
    """Low-dimensional residual of a block where its input and output differ in shape (the rows of table 2)."""

    NONE = "none"
    MOBILENETV3 = "mobilenetv3"  # identity where the shapes agree, nothing elsewhere
    CONV3X3 = "conv3x3"
    DW_PW = "dw-pw"
    MDW_CONCAT = "mdw-concat"  # the paper's light residual, eq. 4

    @property
    def is_dense(self) -> bool:
        """Every block has a low residual; the high residuals come with these kinds."""
        return self not in (Residual.NONE, Residual.MOBILENETV3)


class Reduction(Enum):
    """How the h maps of a channel become one (table 1)."""

    MAX_OUT = "max-out"
    FUNNEL_MAX_OUT = "funnel-max-out"  # the channel's own input map joins the maximum
    SUM_RELU = "sum-relu"
    AFFINE_RELU = "affine-relu"  # learned weight for each map and bias for each channel, section 3.2


class Statistics(Enum):
    """What the channel attention looks at in each map."""

    MEAN_VARIANCE = "mean-variance"
    MEAN = "mean"  # plain ECA
    NONE = "none"  # no attention anywhere


class HeadAttention(Enum):
    """The attention between the MDW convolution and the reduction."""

    SOFTMAX = "softmax"  # multiplexer: the heads of a channel compete, temperature T
    SIGMOID = "sigmoid"  # mixer: each map has its own gate


@dataclass(frozen=True)
class Stage:
    """One block at width 1.0: expand to `expand` channels, MDW `kernel` x `kernel`, project to `out`."""

    kernel: int
    expand: int
    out: int
    activation: Activation | None
    stride: int


STEM_CHANNELS = 16  # conv 3x3 stride 2, hard swish, no MDW and no attention
HIDDEN_CHANNELS = 1024
LAST_EXPANSION = 6  # the last 1x1 convolution has this many times the last block's width

_R, _HS = Activation.RELU, Activation.HARD_SWISH
STAGES = (
    #     kernel expand out  activation stride
    Stage(3, 16, 16, None, 2),  # block 1 has no expand convolution
    Stage(3, 72, 24, _R, 2),
    Stage(3, 88, 24, _R, 1),
    Stage(5, 96, 40, _HS, 2),
    Stage(5, 240, 40, _HS, 1),
    Stage(5, 240, 40, _HS, 1),
    Stage(5, 120, 48, _HS, 1),
    Stage(5, 144, 48, _HS, 1),
    Stage(5, 288, 96, _HS, 2),
    Stage(5, 576, 96, _HS, 1),
    Stage(5, 576, 96, _HS, 1),
)

MAX_HEADS = 5


def scale_channels(channels: int, width: float) -> int:
    """`channels * width` as the nearest multiple of 8, at least 8, one step up where that loses more than a tenth."""
    exact = channels * width
    rounded = max(8, math.floor((exact + 4) / 8) * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


@dataclass(frozen=True)
class BlockConfig:
    """One block at the network's width; block 1 has `in_channels == expand` and no expand convolution."""

    index: int
    kernel: int
    in_channels: int
    expand: int
    out: int
    activation: Activation | None
    stride: int
    bridged: int | None  # channels of the previous block's reduced maps that the high residual brings in

    @property
    def name(self) -> str:
        return f"block{self.index}"


@dataclass(frozen=True)
class FlyNetConfig(ClassifierConfig):
    """A FlyNet, whole: two equal configurations are the same network.

    quantization_levels  q of the quantization noise before the classifier while training; 0 is off
    temperature          T of the softmax over heads in inference; training may anneal towards it
    """

    FAMILY: ClassVar[str] = "FlyNet"

    width: float = 0.4
    heads: int = 3
    resolution: int = 224
    classes: int = 1000
    channels: int = 3
    residual: Residual = Residual.MDW_CONCAT
    reduction: Reduction = Reduction.MAX_OUT
    statistics: Statistics = Statistics.MEAN_VARIANCE
    head_attention: HeadAttention = HeadAttention.SOFTMAX
    temperature: float = 1.0
    quantization_levels: int = 0

    def __post_init__(self) -> None:
        require_width(self.width, "; the paper uses 0.3 to 1.0")
        require_range("heads", self.heads, 1, MAX_HEADS)
        self.require_task()
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"temperature must be above 0, not {self.temperature:g}")
        if self.quantization_levels != 0:
            require_range("quantization levels", self.quantization_levels, 2, 2**32)

    @property
    def name(self) -> str:
        """The paper's way to name a FlyNet, `flynet-h3-0.4x`, and what differs from the paper's network: `-mixer-funnel`."""
        parts = [f"flynet-h{self.heads}-{self.width:g}x"]
        if self.statistics is Statistics.NONE:
            parts.append("no-attention")
        else:
            parts += ["mean"] if self.statistics is Statistics.MEAN else []
            parts += ["mixer"] if self.head_attention is HeadAttention.SIGMOID else []
        parts += [self.reduction.value.split("-")[0]] if self.reduction is not Reduction.MAX_OUT else []
        parts += [f"t{self.temperature:g}"] if self.temperature != 1.0 else []
        if self.residual is not Residual.MDW_CONCAT:
            parts.append("no-residual" if self.residual is Residual.NONE else self.residual.value)
        parts += [f"q{self.quantization_levels}"] if self.quantization_levels else []
        return "-".join(parts)

    @property
    def stem_channels(self) -> int:
        return scale_channels(STEM_CHANNELS, self.width)

    @property
    def hidden_channels(self) -> int:
        return scale_channels(HIDDEN_CHANNELS, self.width)

    @property
    def last_channels(self) -> int:
        return LAST_EXPANSION * self.blocks[-1].out

    @property
    def blocks(self) -> tuple[BlockConfig, ...]:
        """The stages at this width. A high residual bridges consecutive blocks whose reduced maps have one size."""
        made: list[BlockConfig] = []
        channels, previous = self.stem_channels, None
        for index, stage in enumerate(STAGES, start=1):
            expand = channels if stage.activation is None else scale_channels(stage.expand, self.width)
            out = scale_channels(stage.out, self.width)
            bridged = previous if stage.stride == 1 and self.residual.is_dense else None
            made.append(BlockConfig(index, stage.kernel, channels, expand, out, stage.activation, stage.stride, bridged))
            channels, previous = out, expand
        return tuple(made)
