"""SHIFT_MAX: MicroNet's Dynamic Shift-Max in one kernel, whose output may take the place of its input.

The largest of one or two sums, each of a channel and of a shifted channel, both times a computed coefficient. Some pixels at a
time are copied aside; then each channel of them is computed and written where the copied ones were. Seven operators, whose
outputs would lie in memory side by side, need that of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import FusedAttrs, GatherAttrs, Graph, Op, OpKind
from .add import Sum
from .base import KernelCall, elementwise_schedule
from .channel_scale import ScaleNumbers, channel_scale
from .gather import offset_array
from .parameters import KernelParameters, array, code, group, size
from .sums import SumNumbers, sum_numbers
from .turns import Turns, in_turns

MOST_PIXELS, MOST_COPIED_BYTES = 128, 20_480
TABLE_PIXELS, TABLE_COPIED_BYTES = 500, 12_800  # from so many pixels on, a channel's products are tables, made for each copy
TABLES_BYTES = 2048


@dataclass(frozen=True, eq=False)
class ShiftMax(KernelParameters):
    """Maps [pixels, channels], of which `copied` pixels at a time, `blocks` times, are copied aside.

    is_shifted  of each product whether it is of the shifted channel; two for each sum
    shifted     distance to each channel's shifted channel
    """

    template: ClassVar[str] = "shift_max"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}

    has_tables: bool = code()
    is_shifted: tuple[int, ...] = code()
    channels: int = size()
    copied_bytes: int = size()
    blocks: int = size()
    turns: Turns = group()
    scale0: ScaleNumbers = group()
    scale1: ScaleNumbers = group()
    scale2: ScaleNumbers | None = group()
    scale3: ScaleNumbers | None = group()
    sum0: SumNumbers = group()
    sum1: SumNumbers | None = group()
    shifted: npt.NDArray[np.integer] = array()

    @property
    def summary(self) -> str:
        what = "the sum" if self.sum1 is None else "the larger of two sums"
        return (
            f"Dynamic Shift-Max: {what} of a channel and of a shifted one, each times its coefficient. Some pixels at a time are "
            "copied aside, then overwritten."
        )


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of GATHER, MUL, MUL, ADD and, where there are two sums, MUL, MUL, ADD, MAXIMUM."""
    assert isinstance(op.attrs, FusedAttrs)
    body = {step.output: step for step in op.attrs.body}
    gather = op.attrs.body[0]
    assert isinstance(gather.attrs, GatherAttrs)
    adds = [step for step in op.attrs.body if step.kind is OpKind.ADD]
    muls = [body[name] for add in adds for name in add.inputs]
    scales = [channel_scale(mul, graph, build.costs) for mul in muls]
    sums = [Sum(add, *(graph.tensor(name) for name in (*add.inputs, add.output))) for add in adds]
    num_channels = len(gather.attrs.indices)
    pixels = graph.tensor(op.output).num_elements // num_channels
    copied, has_tables = _pixels_at_once(pixels, num_channels)
    numbers = [scale.numbers for scale in scales]
    parameters = ShiftMax(
        has_tables=has_tables,
        is_shifted=tuple(int(mul.inputs[0] == gather.output) for mul in muls),
        channels=num_channels,
        copied_bytes=copied * num_channels,
        blocks=pixels // copied,
        turns=in_turns(copied, 8),
        scale0=numbers[0],
        scale1=numbers[1],
        scale2=numbers[2] if len(sums) == 2 else None,
        scale3=numbers[3] if len(sums) == 2 else None,
        sum0=sum_numbers(sums[0]),
        sum1=sum_numbers(sums[1]) if len(sums) == 2 else None,
        shifted=offset_array(np.array(gather.attrs.indices)),
    )
    source = gather.inputs[0]
    return KernelCall(
        parameters,
        (source, *(scale.coefficients for scale in scales)),
        (op.output,),
        scratch_bytes=copied * num_channels + (TABLES_BYTES if has_tables else copied),
        sharing={source: elementwise_schedule(pixels * num_channels)},
    )


def _pixels_at_once(pixels: int, num_channels: int) -> tuple[int, bool]:
    """How many pixels are copied aside, a divisor of all, and whether they are worth tables."""

    def largest_divisor(most: int) -> int:
        return max(count for count in range(1, max(1, min(most, pixels)) + 1) if pixels % count == 0)

    for_tables = largest_divisor(TABLE_COPIED_BYTES // num_channels)
    if for_tables >= TABLE_PIXELS:
        return for_tables, True
    return largest_divisor(min(MOST_PIXELS, MOST_COPIED_BYTES // num_channels)), False
