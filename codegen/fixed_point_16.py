"""Sigmoid and tanh in 16-bit fixed point, as the LSTM of LiteRT's reference kernels computes them (gemmlowp's algorithms).

A number with `integer_bits` integer bits is held in an int16 with 15 - integer_bits bits behind the point; results are Q0.15. The
algorithms are those of `fixed_point` in 32 bits, with 16-bit constants and with left shifts and one addition that saturate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .fixed_point import Int64, rounding_divide_by_pot

ONE = 32767
MINUS_8_IN_15 = 1 << 12  # 1/8 in Q0.15

# of 32-bit constants in Q31, rounded to 16 bits: exp(-1/8), 1/3, 48/17 and -32/17 in Q2.13, exp(-2^k) for k = -2 .. 4
EXP_OF_MINUS_EIGHTH = 28918
ONE_THIRD = 10923
PLUS_48_OVER_17, MINUS_32_OVER_17 = 23130, -15420
EXP_OF_MINUS_POWER = ((-2, 25520), (-1, 19875), (0, 12055), (1, 4435), (2, 600), (3, 11), (4, 0))


def _saturate(value: Int64) -> Int64:
    return np.clip(value, -(1 << 15), ONE)


def _high_mul(a: Int64 | int, b: Int64 | int) -> Int64:
    """SaturatingRoundingDoublingHighMul in 16 bits."""
    product: Int64 = (np.asarray(a, np.int64) * np.asarray(b, np.int64) + (1 << 14)) >> 15
    return np.minimum(product, ONE)


def exp_of_negative_16(value: Int64, integer_bits: int) -> Int64:
    """exp(x) in Q0.15 of x <= 0."""
    fraction = 15 - integer_bits
    quarter = 1 << (fraction - 2)
    rest = (value & (quarter - 1)) - quarter
    x = _saturate(rest << integer_bits) + MINUS_8_IN_15  # Taylor expansion around -1/8
    x2 = _high_mul(x, x)
    x3, x4 = _high_mul(x2, x), _high_mul(x2, x2)
    tail = rounding_divide_by_pot(_high_mul(rounding_divide_by_pot(x4, 2) + x3, ONE_THIRD) + x2, 1)
    result = _saturate(EXP_OF_MINUS_EIGHTH + _high_mul(EXP_OF_MINUS_EIGHTH, x + tail))
    powers = rest - value
    for exponent, factor in EXP_OF_MINUS_POWER:
        if exponent < integer_bits:
            result = np.where((powers & (1 << (fraction + exponent))) != 0, _high_mul(result, factor), result)
    if integer_bits > 5:
        result = np.where(value < -(1 << (20 - integer_bits)), 0, result)
    return np.where(value == 0, ONE, result)


def _reciprocal(value: Int64) -> Int64:
    """1 / (1 + x) in Q2.13, of x in Q0.15: three Newton steps."""
    half_denominator = (value + ONE + 1) >> 1
    x = PLUS_48_OVER_17 + _high_mul(half_denominator, MINUS_32_OVER_17)
    for _ in range(3):
        x = x + _saturate(_high_mul(x, (1 << 13) - _high_mul(half_denominator, x)) << 2)
    return x


def sigmoid_16(value: npt.ArrayLike, integer_bits: int) -> Int64:
    """1 / (1 + exp(-x)) in Q0.15."""
    wide = np.asarray(value, np.int64)
    result = _saturate(_reciprocal(exp_of_negative_16(-np.abs(wide), integer_bits)) << 1)
    return np.where(wide == 0, 1 << 14, np.where(wide > 0, result, ONE - result))


def tanh_16(value: npt.ArrayLike, integer_bits: int) -> Int64:
    """tanh(x) in Q0.15. The bits with one integer bit more are 2x."""
    wide = np.asarray(value, np.int64)
    result = _saturate((_reciprocal(exp_of_negative_16(-np.abs(wide), integer_bits + 1)) - (1 << 13)) << 2)
    return np.where(wide == 0, 0, np.where(wide < 0, -result, result))
