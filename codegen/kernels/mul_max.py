"""Attention over the heads and Max-out in one kernel: the scaled maps of the heads never exist.

In row bands the output follows the maps through the same memory. A pixel's heads free more bytes than its output takes, so each
band may be larger than the one before by as many times as there are heads; the distance is the output of the first, smallest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import mul_multiplier
from ..ir import ClampAttrs, FusedAttrs, Graph, Op
from .base import KernelCall, RowSchedule
from .channel_scale import ScaleNumbers
from .exact import fit_product_requant
from .mul import MAX_LANE_FACTOR, pair_products
from .parameters import KernelParameters, array, code, group, size
from .turns import in_turns


class MulMaxForm(KernelParameters):
    """How a function is called and described that takes the largest of scaled heads, whatever it is written in."""

    shown: ClassVar[Mapping[str, str]] = {"heads": "heads", "c": "channels"}
    heads: int

    @property
    def summary(self) -> str:
        return (
            f"Max-out of {self.heads} heads, each times its coefficient. One requantization serves all heads, and it never "
            "decreases, so the largest product is taken first."
        )


@dataclass(frozen=True, eq=False)
class MulMax(MulMaxForm):
    """Maps [pixels, channels, heads] times a vector [channels, heads], the largest of each channel's heads.

    row_bytes   of one pixel's heads
    turns       of `steps` pixels of a channel, and `rest` by themselves; of three heads without the first pixel
    band_turns  of each band: turns and rest, two numbers a band
    """

    template: ClassVar[str] = "mul_max"

    heads: int = code()
    has_lanes: bool = code()
    channels: int = size()
    row_bytes: int = size()
    steps: int = code()
    turns: int | None = size()
    rest: int | None = size()
    is_banded: bool = code()
    bands: int | None = size()
    band_turns: npt.NDArray[np.int32] | None = array()
    scale: ScaleNumbers = group()


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of MUL by per-channel coefficients, RESHAPE, REDUCE_MAX over the heads, RESHAPE."""
    assert isinstance(op.attrs, FusedAttrs)
    mul = op.attrs.body[0]
    assert isinstance(mul.attrs, ClampAttrs)
    maps, coefficients, scaled = (graph.tensor(name) for name in (*mul.inputs, mul.output))
    factor = mul_multiplier(maps.scale, coefficients.scale, scaled.scale)
    bounds = (mul.attrs.activation_min, mul.attrs.activation_max)
    requant = fit_product_requant(pair_products(maps, coefficients), factor, scaled.zero_point, *bounds)
    num_channels = graph.tensor(op.output).shape[-1]
    heads = coefficients.num_elements // num_channels
    pixels = graph.tensor(op.output).num_elements // num_channels
    has_lanes = 2 <= heads <= 5 and maps.num_elements >= 4 and requant.factor <= MAX_LANE_FACTOR
    first = int(has_lanes and heads == 3)  # the pixel at the head of a band that is not part of the loop
    bands = growing_bands(pixels, first, heads, build.bands.count)
    ends = list(accumulate(bands))
    is_banded = len(bands) > 1
    steps = (4 if build.level.merges_inner else 8) if has_lanes else 1
    schedule = RowSchedule(
        tuple(num_channels * end for end in ends), tuple(num_channels * heads * begin for begin in [0, *ends[:-1]])
    )
    turns = [in_turns(band - first, steps) for band in bands]
    parameters = MulMax(
        heads=heads,
        has_lanes=has_lanes,
        channels=num_channels,
        row_bytes=num_channels * heads,
        steps=steps,
        turns=None if is_banded else turns[0].turns,
        rest=None if is_banded else turns[0].rest,
        is_banded=is_banded,
        bands=len(bands) if is_banded else None,
        band_turns=np.array([(t.turns, t.rest) for t in turns], np.int32).reshape(-1) if is_banded else None,
        scale=ScaleNumbers(-maps.zero_point, -coefficients.zero_point, requant),
    )
    return KernelCall(
        parameters,
        (maps.name, coefficients.name),
        (op.output,),
        sharing={maps.name: schedule} if is_banded else {},
        is_banded=is_banded,
    )


def growing_bands(pixels: int, first: int, heads: int, count: int) -> tuple[int, ...]:
    """The pixels of each band, all together: those behind its `first` are `heads` times those of the band before."""
    count = max(1, min(count, pixels // (first + 1)))
    inner = pixels - first * count
    parts = list(accumulate(heads**band for band in range(count)))
    ends = [max(min(band, inner), inner * part // parts[-1]) for band, part in enumerate(parts, 1)]
    return tuple(first + end - begin for begin, end in zip([0, *ends], ends, strict=False))
