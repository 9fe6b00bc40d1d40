"""The shared arithmetic against a literal transcription of its definition on Python integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen import fixed_point as fp

drawn = settings(max_examples=300, deadline=None, derandomize=True)


def high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul: nudge by the product's sign, then truncate."""
    nudge = (1 << 30) if a * b >= 0 else 1 - (1 << 30)
    return int(Fraction(a * b + nudge, 1 << 31)) if (a * b + nudge) >= 0 else -int(Fraction(-(a * b + nudge), 1 << 31))


def divide_by_pot(value: int, exponent: int) -> int:
    """RoundingDivideByPOT: mask, remainder, threshold."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if value < 0 else 0)
    return (value >> exponent) + (1 if (value & mask) > threshold else 0)


@drawn
@given(st.integers(-(1 << 24), 1 << 24), st.integers(1 << 30, (1 << 31) - 1), st.integers(-31, 7))
def test_requantize_is_high_mul_then_divide(acc: int, multiplier: int, shift: int) -> None:
    expected = divide_by_pot(high_mul(acc << max(shift, 0), multiplier), max(-shift, 0))
    assert fp.requantize(np.array([acc]), multiplier, shift)[0] == expected


@pytest.mark.parametrize(("value", "expected"), [(6, 2), (5, 1), (-5, -1), (-6, -2), (2, 1), (-2, -1), (1, 0), (-1, 0)])
def test_the_right_shift_rounds_half_away_from_zero(value: int, expected: int) -> None:
    assert fp.requantize(np.array([value * 2]), 1 << 30, -2)[0] == expected


@drawn
@given(st.floats(2.0**-30, 2.0**20))
def test_a_multiplier_is_the_nearest(real: float) -> None:
    found = fp.quantize_multiplier(real)
    assert 1 << 30 <= found.multiplier < 1 << 31
    error = abs(Fraction(found.multiplier) * Fraction(2) ** (found.shift - 31) - Fraction(real))
    assert error <= Fraction(2) ** (found.shift - 32)


def test_multipliers_at_the_edges() -> None:
    assert fp.quantize_multiplier(0.0) == fp.Multiplier(0, 0)
    assert fp.quantize_multiplier(2.0**-40) == fp.Multiplier(0, 0)
    assert fp.quantize_multiplier(1 - 2.0**-40) == fp.Multiplier(1 << 30, 1)
    for bad in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="finite"):
            fp.quantize_multiplier(bad)


def require_double(factor: float, low: int, high: int, found: fp.Multiplier, seed: int = 0) -> None:
    """The multiplier rounds like double precision at both ends, around every step between them, and at some other sums."""
    ties = np.ceil((np.arange(-256, 257) - 0.5) / factor).astype(np.int64)
    noise = np.random.default_rng(seed).integers(low, high, 2000, endpoint=True)
    acc = np.concatenate([ties - 1, ties, ties + 1, noise, [low, high]])
    acc = acc[(low <= acc) & (acc <= high)]
    exact = fp.requantize_in_double(acc, factor)
    integer = fp.requantize_single_rounding(acc, found.multiplier, found.shift)
    assert np.array_equal(np.clip(exact, -256, 256), np.clip(integer, -256, 256))


@settings(max_examples=60, deadline=None, derandomize=True)
@example(0.7, 0)
@given(st.floats(2.0**-14, 8.0), st.integers(0, 2**32 - 1))
def test_the_factors_of_fully_connected_reproduce_the_double(factor: float, seed: int) -> None:
    bound = int(400 / factor) + 1
    found = fp.fully_connected_multiplier(factor, -bound, bound)
    if found is None:  # a product that ends in one half goes away from zero on both sides: no single factor does that
        products = np.arange(1, bound + 1) * factor
        assert (np.abs(products % 1 - 0.5) < 1e-9).any()
        return
    require_double(factor, -bound, bound, found, seed)


def test_large_sums_have_a_narrow_factor_in_the_interval_that_they_reach() -> None:
    """A large bias: a few steps of the output far from zero, which no factor of 62 bits places for all sums of that size."""
    rng = np.random.default_rng(2)
    nowhere = 0
    for factor in 2.0**-22 * rng.uniform(0.5, 1, 60):
        step = int(np.ceil((rng.integers(-120, 120) - 0.5) / factor))
        low, high = step - int(rng.integers(0, 300)), step + int(rng.integers(0, 300))
        found = fp.fully_connected_multiplier(factor, low, high, max_bits=31)
        assert found is not None
        require_double(factor, low, high, found)
        largest = max(-low, high)
        nowhere += fp.fully_connected_multiplier(factor, -largest, largest) is None
    assert nowhere > 10


def test_ties_that_double_precision_rounds_to_both_sides_have_no_factor() -> None:
    """0.7 is a little less than 7/10: 5 times that is 3.5 in double precision, 45 times that is less than 31.5."""
    assert fp.requantize_in_double(np.array([5, 45]), 0.7).tolist() == [4, 31]
    assert fp.fully_connected_multiplier(0.7, 5, 45) is None
    assert fp.fully_connected_multiplier(0.7, 5, 44) is not None


@pytest.mark.parametrize("exponent", range(-14, 4))
def test_ties_of_power_of_two_factors_go_away_from_zero(exponent: int) -> None:
    factor = 2.0**exponent
    bound = int(300 / factor) + 1
    found = fp.fully_connected_multiplier(factor, -bound, bound, max_bits=31)
    assert found is not None
    acc = np.arange(-min(bound, 200_000), min(bound, 200_000) + 1)
    expected = [math.copysign(math.floor(abs(v) + 0.5), v) for v in (acc * factor).tolist()]
    assert np.array_equal(fp.requantize_single_rounding(acc, found.multiplier, found.shift), np.array(expected, np.int64))


@pytest.mark.parametrize("exponent", [-31, -60, -61, -62, -63, -126, -230])
def test_factors_that_bring_every_sum_below_one_half_give_zero(exponent: int) -> None:
    found = fp.fully_connected_multiplier(2.0**exponent, 1 - (1 << 31), (1 << 31) - 1, max_bits=31)
    assert found is not None
    acc = np.array([-(1 << 31) + 1, -1, 0, 1, (1 << 31) - 1])
    expected = fp.requantize_in_double(acc, 2.0**exponent)
    assert np.array_equal(fp.requantize_single_rounding(acc, found.multiplier, found.shift), expected)


def test_a_factor_that_no_narrow_multiplier_reproduces_gets_a_wider_one() -> None:
    rng = np.random.default_rng(1)
    wide = 0
    for factor in 2.0**-17 * rng.uniform(0.5, 1, 40):
        bound = int(300 / factor)
        narrow = fp.fully_connected_multiplier(factor, -bound, bound, max_bits=31)
        found = fp.fully_connected_multiplier(factor, -bound, bound)
        assert found is not None
        assert (narrow is None) == (found.multiplier >= 1 << 31)
        wide += narrow is None
    assert wide > 0


def test_softmax_says_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="SOFTMAX needs"):
        fp.softmax_exp_table(2.0**-27, 1.0)


@pytest.mark.parametrize("scale", [2.0**-13, 0.01, 0.1, 1.0])
def test_softmax_steps_are_near_their_real_functions(scale: float) -> None:
    table = fp.softmax_exp_table(scale, 1.0).astype(np.float64) / 2**31
    assert np.abs(table - np.exp(-scale * np.arange(256))).max() < 1e-6
    totals = np.array([1 << 19, (1 << 19) + 1, 12345678, 511 << 19, 4095 << 19], np.int64)
    reciprocal, shift = fp.softmax_reciprocal(totals)
    shares = reciprocal / 2.0**31 / 2.0 ** (shift - 23)
    assert np.abs(shares * totals / 2**19 - 1).max() < 1e-7


def test_inverse_square_roots_are_close_and_saturate_at_one() -> None:
    for value in (2, 3, 4, 5, 100, (1 << 27) - 1, 1 << 27, (1 << 29) - 1, 1 << 29, 1 << 30):
        found = fp.inverse_square_root(value)
        assert found.shift <= 0
        assert abs(found.multiplier * 2.0 ** (found.shift - 31) * value**0.5 - 1) < 2e-6
    assert fp.inverse_square_root(1) == fp.Multiplier((1 << 31) - 1, 0)
