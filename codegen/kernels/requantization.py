"""From int32 accumulators to int8: which form of the exact arithmetic a layer's numbers allow, and its constants.

LiteRT's double rounding is y = floor((acc * m + 2^30) / 2^31), out = floor((y + 2^(r-1) - [y < 0]) / 2^r) + zero_point. With
acc2 = 2 * acc and offset = 2^(r-1) + (zero_point << r), one rounding multiply-add gives y + offset = smmlar(acc2, m, offset), and

    out = ssat8((smmlar(acc2, m, offset) + (acc2 >> 31)) >> r)

since y < 0 exactly when acc < 0, but for acc = -1 and m = 2^30, where y = 0 and both forms give 0. The sign term is not needed
where negative values are clamped to the zero point anyway (RELU) or never come.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .convolution import Convolution

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MAX_SHIFT = 22  # offset stays below 2^30 in size


class Rounding(Enum):
    """How the kernel rounds; the value names the C function that does it."""

    AWAY = "ft_scale_away"  # double rounding
    UP = "ft_scale_up"  # double rounding where negative accumulators end at the zero point
    ONCE = "ft_scale_once"  # FULLY_CONNECTED
    EXACT = "ft_scale_exact"  # double rounding in 64 bits: any multiplier, any accumulator
    EXACT_ONCE = "ft_scale_exact_once"

    @property
    def takes_doubled(self) -> bool:
        """Whether the accumulator must come multiplied by two."""
        return self in (Rounding.AWAY, Rounding.UP, Rounding.ONCE)


@dataclass(frozen=True, eq=False)
class Requantization:
    """constants [c_out, 3]: multiplier, offset, right shift; for the exact forms multiplier, zero point, shift (> 0 is left)."""

    rounding: Rounding
    constants: Int32


def accumulator_bounds(weights: Int64, bias: Int64, input_zero_point: int) -> tuple[Int64, Int64]:
    """The least and the largest accumulator of each output channel that any int8 input can produce.

    weights  [c_out, k];  bias [c_out]
    """
    low, high = -128 - input_zero_point, 127 - input_zero_point
    at_least = np.minimum(weights * low, weights * high).sum(axis=1) + bias
    at_most = np.maximum(weights * low, weights * high).sum(axis=1) + bias
    return at_least, at_most


def _is_dead(multiplier: Int64, shift: Int64, reach: Int64) -> npt.NDArray[np.bool_]:
    """Which channels are always their zero point."""
    dead: npt.NDArray[np.bool_] = (multiplier == 0) | (reach < (np.int64(1) << np.clip(-shift - 1, 0, 62)))
    return dead


def is_fast(multiplier: Int64, shift: Int64, reach: Int64) -> npt.NDArray[np.bool_]:
    """Which channels the forms of 32 bits scale."""
    fast: npt.NDArray[np.bool_] = _is_dead(multiplier, shift, reach) | (
        (shift <= -1) & (shift >= -MAX_SHIFT) & (reach < 1 << 30) & (multiplier < 1 << 31)
    )
    return fast


def requantization(conv: Convolution, reach: Int64, once: bool = False, least: Int64 | None = None) -> Requantization:
    """The fastest exact form; of each channel `reach` [c_out] is the largest |accumulator|, `least` the least one if known."""
    right = -conv.shift
    dead = _is_dead(conv.multiplier, conv.shift, reach)
    zero_point = np.broadcast_to(conv.output_zero_point, right.shape)
    if not is_fast(conv.multiplier, conv.shift, reach).all():
        constants = np.stack([conv.multiplier, zero_point, conv.shift], axis=1)
        return Requantization(Rounding.EXACT_ONCE if once else Rounding.EXACT, constants.astype(np.int32))
    # a dead channel's output is the zero point: (offset - [acc < 0]) >> 1 with offset = 2 * zero_point + 1
    right = np.where(dead, 1, right)
    multiplier = np.where(dead, 0, conv.multiplier)
    offset = (np.int64(1) << (right - 1)) + (zero_point << right)
    never_negative = dead if least is None else dead | (least >= 0)
    is_cut_at_zero = bool((never_negative | (conv.activation_min >= zero_point)).all())
    rounding = Rounding.ONCE if once else Rounding.UP if is_cut_at_zero else Rounding.AWAY
    return Requantization(rounding, np.stack([multiplier, offset, right], axis=1).astype(np.int32))
