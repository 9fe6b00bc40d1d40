"""From int32 sums to int8 in plain C: four words for each output channel, see templates/kernels/plain/scale.h.

Where the core multiplies 32 by 32 bits into 64 in one instruction, the forms and the constants are those of `requantization.py`.
Elsewhere (ARMv6-M) the multiplier m is cut into pieces of n bits, and floor(sum * m / 2^(31 - k)) is computed by Horner's rule in
32 bits, exactly, since floor((a * 2^n + b) / 2^n) = a + floor(b / 2^n): k = 15 for 15 + 16 bits and |sum| <= 2^15, k = 9 for
9 + 11 + 11 bits and |sum| < 2^20. With T for that floor, and offset as in `requantization.py`,

    floor((sum * m + 2^30) / 2^31) + offset = floor((T + 2^(k-1) + offset * 2^k) / 2^k)

so that one constant rounds and adds the offset, and without a sign term one shift by k + right ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...build import Isa
from ..accumulators import accumulator_bounds
from ..convolution import Convolution
from ..requantization import Requantization, Rounding, requantization
from ..rescale import Rescale

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

INPUT_SHIFT = 128  # of int8 values that are read as uint8

_WHOLE = {
    Rounding.AWAY: "FT_PLAIN_AWAY",
    Rounding.UP: "FT_PLAIN_UP",
    Rounding.ONCE: "FT_PLAIN_ONCE",
    Rounding.EXACT: "FT_PLAIN_EXACT",
    Rounding.EXACT_ONCE: "FT_PLAIN_EXACT_ONCE",
}


@dataclass(frozen=True)
class Pieces:
    """How a multiplier of 31 bits is cut: `count` pieces, the lower ones of `bits` bits; |sum| is at most `most`."""

    count: int
    bits: int
    most: int

    @property
    def kept(self) -> int:
        """Bits behind the point that the products leave."""
        return 31 - self.bits * (self.count - 1)


PIECES = (Pieces(2, 16, 1 << 15), Pieces(3, 11, (1 << 20) - 1))


@dataclass(frozen=True, eq=False)
class Scaling:
    """How sums become outputs.

    rounding  the constant of scale.h
    channels  [c_out, 4]
    low, high  the least and the largest sum that any input can give
    """

    rounding: str
    channels: Int32
    low: int
    high: int


def scaling(
    conv: Convolution, weights: Int64, isa: Isa, once: bool = False, heads: int = 1, input_shift: int = INPUT_SHIFT
) -> Scaling:
    """The form and the constants of a layer whose weights are [c_out, k]; `heads` neighbouring channels are scaled alike.

    input_shift  what the values of the windows are larger by than those of the map
    """
    low, high = accumulator_bounds(weights, conv.bias, conv.input_zero_point)
    largest = np.maximum(np.abs(low), np.abs(high)).reshape(-1, heads).max(axis=1).repeat(heads)
    start = conv.bias - (conv.input_zero_point + input_shift) * weights.sum(axis=1)
    requant = requantization(conv, largest, once, low)
    rounding, words = _WHOLE[requant.rounding], requant.constants.astype(np.int64)
    if not isa.long_multiply:
        rounding, words = next((found for cut in PIECES if (found := in_pieces(requant, largest, cut))), (rounding, words))
    channels = np.column_stack([start, words]).astype(np.uint64).astype(np.uint32).view(np.int32)
    return Scaling(rounding, channels, int(low.min()), int(high.max()))


@dataclass(frozen=True, eq=False)
class ValueScaling:
    """How single sums become values: the constant of scale.h, and a channel's four words."""

    rounding: str
    words: Int32


def value_scaling(rescale: Rescale, largest: int, start: int, isa: Isa) -> ValueScaling:
    """The form and the constants of |sum| <= largest, `start` included."""
    rounding = Rounding(rescale.function)
    requant = Requantization(rounding, np.array([[rescale.multiplier, rescale.offset, rescale.shift]], np.int32))
    form, words = _WHOLE[rounding], requant.constants.astype(np.int64)
    if not isa.long_multiply:
        limit = np.array([largest])
        form, words = next((found for cut in PIECES if (found := in_pieces(requant, limit, cut))), (form, words))
    return ValueScaling(form, np.array([start, *words[0]]).astype(np.uint64).astype(np.uint32).view(np.int32))


def in_pieces(requant: Requantization, largest: Int64, cut: Pieces) -> tuple[str, Int64] | None:
    """The form of scale.h and [c_out, 3] words; None where the sums or the offsets are too large for it."""
    if not requant.rounding.takes_doubled:
        return None
    multiplier, offset, right = requant.constants.astype(np.int64).T
    half = 0 if requant.rounding is Rounding.ONCE else 1 << (cut.kept - 1)
    folded = (offset << cut.kept) + half
    if (largest[multiplier != 0] > cut.most).any() or (np.abs(folded) >= 1 << 30).any():
        return None
    mask = (1 << cut.bits) - 1
    pieces = [multiplier & mask, (multiplier >> cut.bits) & mask if cut.count == 3 else 0 * multiplier]
    upper = multiplier >> (cut.bits * (cut.count - 1))
    has_sign = requant.rounding is Rounding.AWAY
    right = right + (0 if has_sign else cut.kept)
    form = f"FT_PLAIN_{'AWAY' if has_sign else 'SHIFT'}_{cut.count}"
    return form, np.stack([folded, pieces[0] | pieces[1] << 16, upper | right << 16], axis=1)
