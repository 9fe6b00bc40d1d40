"""MUL_ADD: maps times one coefficient for each channel, plus other maps.

A channel's scaled value, already on the scale of the sum, is a function of the int8 value alone: a table of 256 words, made once
for each channel. An element then is one look-up, one product, one saturation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..ir import FusedAttrs, Graph, Op
from .add import Sum
from .base import KernelCall, SamePlace
from .channel_scale import ScaleNumbers, channel_scale
from .parameters import KernelParameters, group, size
from .sums import SumNumbers, sum_numbers
from .turns import Turns, in_turns


@dataclass(frozen=True, eq=False)
class MulAdd(KernelParameters):
    """Maps [pixels, channels] times a vector [channels], plus other maps."""

    template: ClassVar[str] = "mul_add"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}

    channels: int = size()
    turns: Turns = group()
    scale: ScaleNumbers = group()
    sum: SumNumbers = group()

    @property
    def summary(self) -> str:
        return (
            "Pixels times one coefficient for each channel, plus other pixels: a channel's products, rounded to int8 and brought "
            "to the scale of the sum, are a lookup table."
        )


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a fused channel scale and ADD."""
    assert isinstance(op.attrs, FusedAttrs)
    mul, add = op.attrs.body
    scale = channel_scale(mul, graph, build.costs)
    (other,) = (name for name in add.inputs if name != mul.output)
    sum_ = Sum(add, graph.tensor(mul.output), graph.tensor(other), graph.tensor(add.output))
    num_channels = graph.tensor(scale.coefficients).num_elements
    pixels = graph.tensor(other).num_elements // num_channels
    return KernelCall(
        MulAdd(num_channels, in_turns(pixels, 8), scale.numbers, sum_numbers(sum_)),
        (scale.maps, scale.coefficients, other),
        (op.output,),
        scratch_bytes=1024,
        sharing={scale.maps: SamePlace(), other: SamePlace()},
    )
