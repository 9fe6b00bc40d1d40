"""Short integer formulas for int8 operators, each proven equal to LiteRT's by trying every input that exists.

Two int8 operands have 65,536 pairs: the whole function is computed with `fixed_point`, then a formula that needs few
instructions is fitted and accepted only when it reproduces every value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..fixed_point import Multiplier, requantize
from .parameters import code, data, size

Int64 = npt.NDArray[np.int64]

INT8_VALUES: Int64 = np.arange(-128, 128, dtype=np.int64)
MAX_RIGHT = 22  # a zero point shifted left by this, half a step and a value together fit 32 bits
_LIMIT = 1 << 31
_FARTHEST = 1 << 30  # an offset that no value bounds
_UNBOUNDED = 1 << 60


@dataclass(frozen=True)
class Affine:
    """clamp((bias + floor(a * factor0 / 2^fraction) + floor(b * factor1 / 2^fraction)) >> shift) for int8 a and b.

    fraction  8: a product is one SMLAWB of the factor and of the value's byte in the upper half of an int16 lane; 0: one MLA
    """

    factor0: int
    factor1: int
    bias: int
    shift: int
    fraction: int = 8

    def terms(self, operand: int) -> Int64:
        """The summand of operand 0 or 1 for every int8 value."""
        return INT8_VALUES * (self.factor0, self.factor1)[operand] >> self.fraction


def fit_affine(expected: Int64, real0: float, real1: float, low: int, high: int, fraction: int = 8) -> Affine | None:
    """An affine formula that gives clamp(expected[a + 128, b + 128], low, high) for every pair, or None.

    real0, real1  the real factors of a and b, signs included
    The bias is free in an interval; where that is empty the factors are moved by a few units.
    """
    clamped = np.clip(expected, low, high)
    largest = 2.0 * max(float(expected.max()), -float(expected.min()), 256.0)
    shift = min(30 - math.ceil(math.log2(largest)), 22 - math.ceil(math.log2(max(abs(real0), abs(real1), 0.5))))
    if shift < 8:
        return None
    scaled0, scaled1 = (round(real * (1 << (shift + fraction))) for real in (real0, real1))
    bounds = _OffsetBounds(clamped, shift, low, high)
    for nudge0, nudge1 in _NUDGES if fraction else _SINGLE_NUDGES:
        candidate = Affine(scaled0 + nudge0, scaled1 + nudge1, 0, shift, fraction)
        first, last = bounds.interval(candidate)
        if first <= last:
            candidate = replace(candidate, bias=(first + last) // 2)
            return candidate if _fits_32_bits(candidate) else None
    return None


class _OffsetBounds:
    """Which bias makes a formula equal to what is expected, for formulas that differ in their factors only.

    Each pair of values bounds the bias by what is expected, less both terms. The bounds over all second operands are kept for
    each second factor, so that a first factor costs 256 comparisons, not 65,536.
    """

    def __init__(self, expected: Int64, shift: int, low: int, high: int) -> None:
        shifted = expected << shift
        self._least = np.where(expected > low, shifted, -_UNBOUNDED)
        self._most = np.where(expected < high, np.add(shifted, 1 << shift, out=shifted), _UNBOUNDED)
        self._work = shifted  # pages that are ours already: large arrays cost more to be given than to be filled
        self._by_second: dict[int, tuple[Int64, Int64]] = {}

    def interval(self, formula: Affine) -> tuple[int, int]:
        """The first and the last bias that a formula may have; none when first > last."""
        if formula.factor1 not in self._by_second:
            second = formula.terms(1)
            self._by_second[formula.factor1] = (
                np.subtract(self._least, second, out=self._work).max(axis=1),
                np.subtract(self._most, second, out=self._work).min(axis=1),
            )
        least, most = self._by_second[formula.factor1]
        first = formula.terms(0)
        return max(int((least - first).max()), -_FARTHEST), min(int((most - first).min()), _FARTHEST) - 1


def _nudges(steps: tuple[int, ...]) -> list[tuple[int, int]]:
    return sorted(((i, j) for i in steps for j in steps), key=lambda pair: (abs(pair[0]) + abs(pair[1]), pair))


_NUDGES = _nudges((0, 2, -2, 5, -5, 12, -12))
_SINGLE_NUDGES = _nudges((0, 1, -1, 2, -2, 5, -5))


def _fits_32_bits(formula: Affine) -> bool:
    """Neither the sum nor a partial sum, in the order bias, factor0, factor1, leaves int32."""
    partial = [formula.bias + int(formula.terms(0)[end]) for end in (0, -1)]
    sums = [p + int(formula.terms(1)[end]) for p in partial for end in (0, -1)]
    factors = [formula.factor0, formula.factor1]
    return all(-_LIMIT <= value < _LIMIT for value in (*partial, *sums, *factors))


def offset_interval(scaled: Int64, expected: Int64, shift: int) -> tuple[int, int]:
    """The first and the last offset with clamp((scaled + offset) >> shift) == expected everywhere; none when first > last."""
    first = int(((expected << shift) - scaled)[expected > -128].max(initial=-_FARTHEST))
    last = int((((expected + 1) << shift) - scaled)[expected < 127].min(initial=_FARTHEST)) - 1
    return first, last


@dataclass(frozen=True)
class ProductRequant:
    """How a product p = (a - z0) * (b - z1) becomes an output: with q = p * factor,

    clamp((((q * multiplier + 2^31) >> 32) + offset + (sign_correction ? (q >> 31) : 0)) >> right, low, high)

    factor  a power of two
    """

    multiplier: int = data()
    offset: int = data()
    factor: int = size()
    right: int = size(inner=True)
    sign_correction: bool = code()
    low: int = code()
    high: int = code()

    @property
    def left(self) -> int:
        """The factor as a shift."""
        return self.factor.bit_length() - 1

    def apply(self, products: Int64) -> Int64:
        """The formula over any products, before the clamp."""
        shifted = products * self.factor
        high = ((shifted * self.multiplier + (1 << 31)) >> 32) + self.offset
        if self.sign_correction:
            high = high + (shifted >> 31)
        result: Int64 = high >> self.right
        return result


def fit_product_requant(products: Int64, factor: Multiplier, zero_point: int, low: int = -128, high: int = 127) -> ProductRequant:
    """The shortest formula that equals `requantize(products) + zero_point`, saturated to int8, for all given products.

    low, high  the bounds of the fused activation

    The sign correction (half away from zero for negative values) is left out where no product needs it. Factors of 2^13 and
    more are all one: every product but 0 saturates.
    """
    if factor.shift > 13:
        factor = Multiplier(1 << 30, 13)
    expected = np.clip(requantize(products, factor.multiplier, factor.shift) + zero_point, -128, 127)
    for candidate in _product_candidates(factor, zero_point, low, high):
        inside = int(np.abs(products).max()) * candidate.factor < _LIMIT
        if inside and np.array_equal(np.clip(candidate.apply(products), -128, 127), expected):
            return candidate
    raise AssertionError(f"no formula for {factor} around {zero_point}")


def _product_candidates(factor: Multiplier, zero_point: int, low: int, high: int) -> list[ProductRequant]:
    right = max(-factor.shift, 0)
    if factor.multiplier == 0 or right > MAX_RIGHT:  # |p| < 2^17 is scaled below one half
        return [ProductRequant(0, zero_point, 2, 0, False, low, high)]
    offset = (zero_point << right) + (1 << right >> 1)
    plain = ProductRequant(factor.multiplier, offset, 2 << max(factor.shift, 0), right, False, low, high)
    return [plain, replace(plain, sign_correction=True)] if right else [plain]
