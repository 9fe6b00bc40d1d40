"""What a FlyNet is made of: the table of stages, the width rule and `FlyNetConfig`. No torch here.

Source: "FlyNet: Max it, Excite it, Quantize it"; the table is the paper's network at width 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

from ..errors import UsageError


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

MAX_WIDTH, MAX_HEADS = 1.5, 5
MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024
MAX_CLASSES = 100_000


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
class FlyNetConfig:
    """A FlyNet, whole: two equal configurations are the same network.

    quantization_levels  q of the quantization noise before the classifier while training; 0 is off
    temperature          T of the softmax over heads in inference; training may anneal towards it
    """

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
        if not (math.isfinite(self.width) and 0 < self.width <= MAX_WIDTH):
            raise UsageError(f"width must be above 0 and at most {MAX_WIDTH}, not {self.width:g}; the paper uses 0.3 to 1.0")
        _check_range("heads", self.heads, 1, MAX_HEADS)
        _check_range("resolution", self.resolution, MIN_RESOLUTION, MAX_RESOLUTION)
        _check_range("classes", self.classes, 2, MAX_CLASSES)
        if self.channels not in (1, 3):
            raise UsageError(f"channels must be 1 (grey) or 3 (colour), not {self.channels}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"temperature must be above 0, not {self.temperature:g}")
        if self.quantization_levels != 0:
            _check_range("quantization levels", self.quantization_levels, 2, 2**32)

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
    def input_shape(self) -> tuple[int, int, int, int]:
        """[1, C, H, W]"""
        return (1, self.channels, self.resolution, self.resolution)

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

    def as_dict(self) -> dict[str, float | int | str]:
        """Plain values, for a checkpoint or a report."""
        return {key: value.value if isinstance(value, Enum) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> FlyNetConfig:
        """The configuration that `as_dict` wrote; UsageError when a key or a value is not of this class."""
        known: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(cls)}
        if unknown := sorted(set(values) - set(known)):
            raise UsageError(f"unknown FlyNet option {unknown[0]!r}")
        try:
            return cls(**{key: known[key](value) for key, value in values.items()})
        except (TypeError, ValueError) as error:
            raise UsageError(f"not a FlyNet configuration: {error}") from error


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{what} must be {low} to {high}, not {value}")
