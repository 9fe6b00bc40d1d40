"""Short integer formulas for int8 operators, each proven equal to LiteRT's by trying every input that exists.

Two int8 operands have 65,536 pairs: the whole function is computed with `fixed_point`, then a formula that needs few
instructions is fitted and accepted only when it reproduces every value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..fixed_point import Multiplier, requantize

Int64 = npt.NDArray[np.int64]

INT8_VALUES: Int64 = np.arange(-128, 128, dtype=np.int64)
_LIMIT = 1 << 31


@dataclass(frozen=True)
class Affine:
    """clamp((a * factor0 + b * factor1 + bias) >> shift) for int8 a and b; no intermediate exceeds 32 bits."""

    factor0: int
    factor1: int
    bias: int
    shift: int


def fit_affine(expected: Int64, real0: float, real1: float, low: int, high: int) -> Affine | None:
    """An affine formula that gives clamp(expected[a + 128, b + 128], low, high) for every pair, or None.

    real0, real1  the real factors of a and b, signs included
    The bias is free in an interval; when it is empty the factors are moved by a few units, and fewer bits are tried.
    """
    clamped = np.clip(expected, low, high)
    a, b = INT8_VALUES[:, np.newaxis], INT8_VALUES[np.newaxis, :]
    reach = float(np.abs(expected - np.mean(expected)).max()) + abs(float(np.mean(expected))) + 2.0
    most_bits = 30 - math.ceil(math.log2(max(reach, 256.0, abs(real0), abs(real1))))
    for shift in range(most_bits, max(most_bits - 3, 0), -1):
        for step0, step1 in _NUDGES:
            factor0, factor1 = round(real0 * (1 << shift)) + step0, round(real1 * (1 << shift)) + step1
            scaled = a * factor0 + b * factor1
            at_least = ((clamped << shift) - scaled)[clamped > low]
            below = (((clamped + 1) << shift) - scaled)[clamped < high]
            first = int(at_least.max(initial=-(1 << 30)))
            last = int(below.min(initial=1 << 30)) - 1
            if first <= last:
                candidate = Affine(factor0, factor1, (first + last) // 2, shift)
                if _fits_32_bits(candidate):
                    return candidate
    return None


_NUDGES = sorted(((i, j) for i in range(-3, 4) for j in range(-3, 4)), key=lambda p: (abs(p[0]) + abs(p[1]), p))


def _fits_32_bits(formula: Affine) -> bool:
    """Neither the sum nor a partial sum, in the order bias, factor0, factor1, leaves int32."""
    for values in (
        [formula.bias + a * formula.factor0 for a in (-128, 127)],
        [formula.bias + a * formula.factor0 + b * formula.factor1 for a in (-128, 127) for b in (-128, 127)],
    ):
        if max(values) >= _LIMIT or min(values) < -_LIMIT:
            return False
    return max(abs(formula.factor0), abs(formula.factor1)) < _LIMIT


@dataclass(frozen=True)
class ProductRequant:
    """How a product p = (a - z0) * (b - z1) becomes an output: with q = p << left,

    sat8((((q * multiplier + 2^31) >> 32) + offset + (sign_correction ? (q >> 31) : 0)) >> right)
    """

    left: int
    multiplier: int
    offset: int
    right: int
    sign_correction: bool

    def apply(self, products: Int64) -> Int64:
        """The formula over any products, before saturation."""
        shifted = products << self.left
        high = ((shifted * self.multiplier + (1 << 31)) >> 32) + self.offset
        if self.sign_correction:
            high = high + (shifted >> 31)
        result: Int64 = high >> self.right
        return result


def fit_product_requant(products: Int64, factor: Multiplier, zero_point: int) -> ProductRequant:
    """The shortest formula that equals `requantize(products) + zero_point`, saturated to int8, for all given products.

    The sign correction (half away from zero for negative values) is left out where no product needs it.
    """
    expected = np.clip(requantize(products, factor.multiplier, factor.shift) + zero_point, -128, 127)
    for candidate in _product_candidates(factor, zero_point):
        inside = np.abs(products).max(initial=0) << candidate.left < _LIMIT
        if inside and np.array_equal(np.clip(candidate.apply(products), -128, 127), expected):
            return candidate
    raise AssertionError(f"no formula for {factor} around {zero_point}")


def _product_candidates(factor: Multiplier, zero_point: int) -> list[ProductRequant]:
    right = max(-factor.shift, 0)
    if factor.multiplier == 0 or right > 22:  # |p| < 2^17 is scaled below one half
        return [ProductRequant(0, 0, zero_point, 0, False)]
    left = 1 + max(factor.shift, 0)
    multiplier = factor.multiplier
    if left > 14:  # every product but 0 saturates long before
        left, multiplier = 14, 1 << 30
    offset = (zero_point << right) + (1 << right >> 1)
    plain = ProductRequant(left, multiplier, offset, right, False)
    if right == 0:
        return [plain]
    corrected = ProductRequant(left, multiplier, offset, right, True)
    # -1 * 2^30 rounds up to 0 and must not be corrected as a negative value: shift the multiplier's rounding instead.
    nudged = ProductRequant(left, multiplier + 1, offset, right, True)
    return [plain, corrected, nudged, ProductRequant(left, multiplier - 1, offset, right, True)]
