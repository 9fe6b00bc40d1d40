"""How large the int32 sums of a layer can be, and which channels the short forms of requantization scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

MAX_SHIFT = 22  # a zero point shifted left by it stays below 2^30 in size


def accumulator_bounds(weights: Int64, bias: Int64, input_zero_point: int) -> tuple[Int64, Int64]:
    """The least and the largest accumulator of each output channel that any int8 input can produce.

    weights  [c_out, k];  bias [c_out]
    """
    low, high = -128 - input_zero_point, 127 - input_zero_point
    at_least = np.minimum(weights * low, weights * high).sum(axis=1) + bias
    at_most = np.maximum(weights * low, weights * high).sum(axis=1) + bias
    return at_least, at_most


def is_dead(multiplier: Int64, shift: Int64, largest: Int64) -> npt.NDArray[np.bool_]:
    """Which channels are always their zero point, of those whose multiplier is below 2^31."""
    is_below_half = (largest < (np.int64(1) << np.clip(-shift - 1, 0, 62))) & (multiplier < 1 << 31)
    dead: npt.NDArray[np.bool_] = (multiplier == 0) | is_below_half
    return dead


def is_fast(multiplier: Int64, shift: Int64, largest: Int64) -> npt.NDArray[np.bool_]:
    """Which channels the forms of 32 bits scale."""
    fast: npt.NDArray[np.bool_] = is_dead(multiplier, shift, largest) | (
        (shift <= -1) & (shift >= -MAX_SHIFT) & (largest < 1 << 30) & (multiplier < 1 << 31)
    )
    return fast
