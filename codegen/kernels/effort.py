"""How much flash the convolutions may spend for speed: what `--optimize speed|balanced|size` means to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Limits of unrolling and of weights stored in a form that is larger and faster to read.

    unroll_all_pairs   windows of at most so many int16 pairs are multiplied without a loop
    unroll_pairs       pairs in one turn of the loop over longer windows; even
    wide_weights       at most so many weights of a convolution are held as int16 (twice the flash) ..
    wide_gain          .. where that saves at least so many instructions for each byte
    depthwise_bytes    larger depthwise layers keep their taps as int8, widened when their turn comes
    max_tile           outputs of a row that a depthwise convolution computes together
    unrolled_rows      kernel rows of all heads; above, the heads after the first share code
    side_by_side       whether windows inside the map have a faster path beside the general one
    compiler_flag      gcc's optimization of the firmware. On six networks, beside -O2, -O3 saves up to 3 % of the instructions
                       for 0.1 to 6 % of the flash, and -Os saves up to 0.7 % of the flash for up to 25 % more instructions:
                       -O3 where instructions count, -O2 where flash does
    stripes            depthwise convolutions and Max-outs take the map in at least so many bands, all channels of one before
                       the next; 1: channel by channel. GATHER copies each block aside, however many. `arrange.py` sets it
                       where that makes the arena smaller ..
    max_stripes        .. up to this
    stripes_from_end   depthwise convolutions take the last stripe first: the output lies above the input's end, not below it
    """

    unroll_all_pairs: int
    unroll_pairs: int
    wide_weights: int
    wide_gain: float
    depthwise_bytes: int
    max_tile: int
    unrolled_rows: int
    side_by_side: bool
    compiler_flag: str
    max_stripes: int
    stripes: int = 1
    stripes_from_end: bool = False


SPEED = Effort(
    unroll_all_pairs=30,
    unroll_pairs=16,
    wide_weights=65536,
    wide_gain=1.0,
    depthwise_bytes=1 << 24,
    max_tile=8,
    unrolled_rows=20,
    side_by_side=True,
    compiler_flag="-O3",
    max_stripes=1,
)
BALANCED = Effort(
    unroll_all_pairs=30,
    unroll_pairs=16,
    wide_weights=16384,
    wide_gain=3.0,
    depthwise_bytes=4096,
    max_tile=8,
    unrolled_rows=10,
    side_by_side=True,
    compiler_flag="-O3",
    max_stripes=8,
)
SIZE = Effort(
    unroll_all_pairs=4,
    unroll_pairs=2,
    wide_weights=0,
    wide_gain=0.0,
    depthwise_bytes=0,
    max_tile=4,
    unrolled_rows=0,
    side_by_side=False,
    compiler_flag="-O2",
    max_stripes=8,
)

EFFORTS: Mapping[str, Effort] = {"speed": SPEED, "balanced": BALANCED, "size": SIZE}
