"""Bounds of int32 sums, and which channels the short forms scale."""

from __future__ import annotations

import numpy as np

from flynet_tiny.codegen.kernels.accumulators import MAX_SHIFT, accumulator_bounds, is_dead, is_fast


def test_accumulator_bounds_are_reached_and_not_passed() -> None:
    rng = np.random.default_rng(3)
    weights, bias = rng.integers(-128, 128, (5, 9)), rng.integers(-9000, 9000, 5)
    low, high = accumulator_bounds(weights, bias, 17)
    worst = np.where(weights > 0, 127 - 17, -128 - 17)
    assert np.array_equal((weights * worst).sum(axis=1) + bias, high)
    inputs = rng.integers(-128, 128, (4000, 9)) - 17
    sums = inputs @ weights.T + bias
    assert (sums.min(axis=0) >= low).all()
    assert (sums.max(axis=0) <= high).all()


def test_channels_that_stay_at_the_zero_point_are_dead() -> None:
    multiplier, shift = np.array([0, 1 << 30, 1 << 30]), np.array([0, -21, -21])
    assert is_dead(multiplier, shift, np.array([1 << 29, (1 << 20) - 1, 1 << 20])).tolist() == [True, True, False]
    assert not is_dead(np.array([1 << 40]), np.array([-21]), np.array([(1 << 20) - 1])), "a wide multiplier: 2^8"


def test_fast_channels_have_shifts_factors_and_sums_of_32_bits() -> None:
    shift = np.array([-1, 0, -MAX_SHIFT, -MAX_SHIFT - 1, -1, -1])
    multiplier = np.array([1 << 30] * 5 + [1 << 31])
    reach = np.array([1 << 29, 1 << 29, 1 << 29, 1 << 29, 1 << 30, 1 << 29])
    assert is_fast(multiplier, shift, reach).tolist() == [True, False, True, False, False, False]
