"""From int32 accumulators to int8: which form of the exact arithmetic a layer's numbers allow, and its constants.

LiteRT's double rounding is y = floor((acc * m + 2^30) / 2^31), out = floor((y + 2^(r-1) - [y < 0]) / 2^r) + zero_point. With
acc2 = 2 * acc and offset = 2^(r-1) + (zero_point << r), one rounding multiply-add gives y + offset = smmlar(acc2, m, offset), and

    out = ssat8((smmlar(acc2, m, offset) + (acc2 >> 31)) >> r)

since y < 0 exactly when acc < 0, but for acc = -1 and m = 2^30, where y = 0 and both forms give 0. The sign term is not needed
where negative values are clamped to the zero point anyway (RELU) or never come.

Without a sign term one right shift R does for all channels, and one instruction shifts and saturates ("fine"): the accumulator
comes multiplied by 2^(k + 1), k = R - r, its product is floored, and the offset is 2^(k - 1) more, since for every integer t

    y >= t  <=>  acc * m / 2^31 >= t - 1/2  <=>  floor(2^k * acc * m / 2^31) >= 2^k * t - 2^(k - 1)

so that out = ssat8(smmla(2^(k + 1) * acc, m, (offset << k) + 2^(k - 1)) >> R). FULLY_CONNECTED floors y, without the 2^(k - 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from .accumulators import is_dead, is_fast
from .convolution import Convolution

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Rounding(Enum):
    """How the kernel rounds; the value names the C function that does it."""

    AWAY = "ft_scale_away"  # double rounding
    UP = "ft_scale_up"  # double rounding where negative accumulators end at the zero point
    ONCE = "ft_scale_once"  # FULLY_CONNECTED
    FINE = "ft_scale_fine"  # UP and ONCE with one shift for all channels
    EXACT = "ft_scale_exact"  # double rounding in 64 bits: any multiplier, any accumulator
    EXACT_ONCE = "ft_scale_exact_once"

    @property
    def takes_doubled(self) -> bool:
        """Whether the accumulator must come multiplied by two."""
        return self in (Rounding.AWAY, Rounding.UP, Rounding.ONCE)

    @property
    def is_exact(self) -> bool:
        """Whether 64 bits are needed."""
        return self in (Rounding.EXACT, Rounding.EXACT_ONCE)

    @property
    def is_fine(self) -> bool:
        """Whether each channel's accumulator must come multiplied by a power of two of its own."""
        return self is Rounding.FINE


@dataclass(frozen=True, eq=False)
class Requantization:
    """constants [c_out, 3]: multiplier, offset, right shift; for the exact forms multiplier, zero point, shift (> 0 is left),
    for the fine ones multiplier, offset, the logarithm of the factor.

    factors  [c_out], powers of two by which the accumulators must come multiplied
    """

    rounding: Rounding
    constants: Int32

    @property
    def factors(self) -> Int64:
        multiplier, _, right = self.constants.astype(np.int64).T
        if self.rounding.is_fine:
            factors: Int64 = np.int64(1) << right
            return factors
        return np.full(len(multiplier), 2 if self.rounding.takes_doubled else 1, np.int64)

    def half_steps(self, zero_point: int | Int64) -> int | None:
        """2 * zero point + 1 of all channels, if every offset is that times half a step of its channel's right shift."""
        steps = 2 * int(np.max(zero_point)) + 1
        _, offset, right = self.constants.astype(np.int64).T
        is_shifted = self.rounding.takes_doubled and bool((offset == steps << (right - 1)).all())
        return steps if is_shifted else None


def requantization(conv: Convolution, largest: Int64, once: bool = False, least: Int64 | None = None) -> Requantization:
    """The fastest exact form; of each channel `largest` [c_out] is the largest |accumulator|, `least` the least one if known."""
    right = -conv.shift
    dead = is_dead(conv.multiplier, conv.shift, largest)
    zero_point = np.broadcast_to(conv.output_zero_point, right.shape)
    if not is_fast(conv.multiplier, conv.shift, largest).all():
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


FINE_SHIFT = 12  # of ft_scale_fine
MAX_FINE = 8  # int8 weights times 2^8 are int16


def fine_requantization(requant: Requantization, largest: Int64) -> Requantization:
    """The same with one right shift for all channels, where the form has no sign term and all factors fit."""
    if requant.rounding not in (Rounding.UP, Rounding.ONCE):
        return requant
    multiplier, offset, right = requant.constants.astype(np.int64).T
    finer = np.where(multiplier == 0, 1, FINE_SHIFT - right)
    log_factor = finer + 1
    if finer.min() < 1 or log_factor.max() > MAX_FINE or (largest << log_factor).max() >= 1 << 31:
        return requant
    half = 0 if requant.rounding is Rounding.ONCE else np.int64(1) << (finer - 1)
    moved = np.where(multiplier == 0, ((offset >> 1) << FINE_SHIFT) + (1 << (FINE_SHIFT - 1)), (offset << finer) + half)
    return Requantization(Rounding.FINE, np.stack([multiplier, moved, log_factor], axis=1).astype(np.int32))
