"""Every form of the requantization equals the two-step rounding of `fixed_point`, over accumulators that matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flynet_tiny.codegen import fixed_point as fp
from flynet_tiny.codegen.kernels.accumulators import MAX_SHIFT
from flynet_tiny.codegen.kernels.convolution import Convolution, convolution
from flynet_tiny.codegen.kernels.requantization import (
    FINE_SHIFT,
    MAX_FINE,
    Rounding,
    fine_requantization,
    requantization,
)

from . import conv_graphs
from .conv_cases import square

GRAPH = conv_graphs.conv_2d(0, (3, 3, 2), 1, square(1))
BASE = convolution(GRAPH.ops[0], GRAPH)


def layer(multiplier: int, shift: int, zero_point: int, activation_min: int = -128) -> Convolution:
    """A layer of one output channel with these constants."""
    return replace(
        BASE,
        multiplier=np.array([multiplier]),
        shift=np.array([shift]),
        output_zero_point=zero_point,
        activation_min=activation_min,
    )


def scaled(rounding: Rounding, constants: np.ndarray, acc: np.ndarray) -> np.ndarray:
    """What the C functions ft_scale_away, ft_scale_up and ft_scale_once compute, in 64 bits with the 32-bit limits asserted."""
    multiplier, offset, right = (int(c) for c in constants)
    acc2 = 2 * acc
    assert np.abs(acc2).max() < 1 << 31
    product = acc2 * multiplier
    high = (product >> 32) if rounding is Rounding.ONCE else (product + (1 << 31)) >> 32
    total = high + offset + ((acc2 >> 31) if rounding is Rounding.AWAY else 0)
    assert np.abs(total).max() < 1 << 31
    return np.clip(total >> right, -128, 127)


def accumulators(multiplier: int, shift: int, largest: int) -> np.ndarray:
    """Small ones, the extremes, and those around every output step's border."""
    step = 2.0 ** (31 - shift) / max(multiplier, 1)
    borders = (np.arange(-300, 301)[:, np.newaxis] + 0.5) * step + np.arange(-3, 4)
    listed = np.concatenate([np.arange(-300, 301), borders.reshape(-1).clip(-largest, largest), [-largest, largest, 1 - largest]])
    return listed.astype(np.int64)


MULTIPLIERS = st.one_of(st.sampled_from((1 << 30, (1 << 30) + 1, (1 << 31) - 1, 3 << 29)), st.integers(1 << 30, (1 << 31) - 1))


@given(MULTIPLIERS, st.integers(-31, 5), st.integers(-128, 127), st.sampled_from((300, 1 << 15, 1 << 22, (1 << 30) - 1)))
def test_double_rounding_in_few_instructions_is_exact(multiplier: int, shift: int, zero_point: int, largest: int) -> None:
    form = requantization(layer(multiplier, shift, zero_point), np.array([largest]))
    acc = np.clip(accumulators(multiplier, shift, largest), -largest, largest)
    if form.rounding.takes_doubled:
        expected = np.clip(fp.requantize(acc, multiplier, shift) + zero_point, -128, 127)
        assert np.array_equal(scaled(form.rounding, form.constants[0], acc), expected)
    else:
        assert shift >= 0 or -shift > MAX_SHIFT


@given(MULTIPLIERS, st.integers(-22, -1), st.integers(-128, 127))
def test_without_negative_results_the_sign_is_not_looked_at(multiplier: int, shift: int, zero_point: int) -> None:
    largest = 1 << 20
    form = requantization(layer(multiplier, shift, zero_point, activation_min=zero_point), np.array([largest]))
    acc = np.clip(accumulators(multiplier, shift, largest), -largest, largest)
    expected = np.clip(fp.requantize(acc, multiplier, shift) + zero_point, zero_point, 127)
    assert form.rounding is Rounding.UP
    assert np.array_equal(np.maximum(scaled(form.rounding, form.constants[0], acc), zero_point), expected)


@given(MULTIPLIERS, st.integers(-22, -1), st.integers(-125, 124), st.integers(-3, 3))
@example(1 << 30, -2, 5, -1)  # -1/2 is rounded away from zero, to a value that the clamp lets through
def test_a_clamp_near_the_zero_point_is_exact(multiplier: int, shift: int, zero_point: int, beside: int) -> None:
    largest, low = 1 << 20, zero_point + beside
    form = requantization(layer(multiplier, shift, zero_point, activation_min=low), np.array([largest]))
    acc = np.clip(accumulators(multiplier, shift, largest), -largest, largest)
    expected = np.clip(fp.requantize(acc, multiplier, shift) + zero_point, low, 127)
    assert (form.rounding is Rounding.UP) == (beside >= 0 or form.constants[0, 0] == 0)  # or it never leaves the zero point
    assert np.array_equal(np.maximum(scaled(form.rounding, form.constants[0], acc), low), expected)


@given(MULTIPLIERS, st.integers(-31, -1), st.integers(-128, 127), st.sampled_from((300, 1 << 20, (1 << 30) - 1)))
def test_single_rounding_in_few_instructions_is_exact(multiplier: int, shift: int, zero_point: int, largest: int) -> None:
    form = requantization(layer(multiplier, shift, zero_point), np.array([largest]), once=True)
    acc = np.clip(accumulators(multiplier, shift, largest), -largest, largest)
    if form.rounding is Rounding.ONCE:
        expected = np.clip(fp.requantize_single_rounding(acc, multiplier, shift) + zero_point, -128, 127)
        assert np.array_equal(scaled(form.rounding, form.constants[0], acc), expected)
    else:
        assert -shift > MAX_SHIFT


def test_a_zero_multiplier_gives_the_zero_point() -> None:
    form = requantization(layer(0, 0, -7), np.array([1 << 20]))
    assert set(scaled(form.rounding, form.constants[0], np.array([-(1 << 20), -1, 0, 1, 1 << 20]))) == {-7}


@pytest.mark.parametrize(("shift", "largest"), [(0, 100), (4, 100), (-3, 1 << 30)])
def test_factors_above_one_half_and_huge_accumulators_take_64_bits(shift: int, largest: int) -> None:
    assert requantization(layer(1 << 30, shift, 0), np.array([largest])).rounding is Rounding.EXACT
    assert requantization(layer(1 << 30, shift, 0), np.array([largest]), once=True).rounding is Rounding.EXACT_ONCE


@given(MULTIPLIERS, st.integers(-14, -1), st.integers(-128, 127), st.booleans(), st.sampled_from((300, 1 << 15, 1 << 22)))
@example(multiplier=1 << 30, shift=-11, zero_point=-128, once=False, reach=1 << 20)
@example(multiplier=(1 << 31) - 1, shift=-5, zero_point=-128, once=True, reach=1 << 22)
@example(multiplier=3 << 29, shift=-5, zero_point=-128, once=False, reach=1 << 23)  # times 2^8: not in 32 bits
def test_one_shift_for_all_channels_is_the_same(multiplier: int, shift: int, zero_point: int, once: bool, reach: int) -> None:
    coarse = requantization(layer(multiplier, shift, zero_point, activation_min=zero_point), np.array([reach]), once)
    form = fine_requantization(coarse, np.array([reach]))
    acc = np.clip(accumulators(multiplier, shift, reach), -reach, reach)
    if form.rounding is not Rounding.FINE:
        assert form is coarse
        return
    (factor,) = form.factors.tolist()
    assert 2 <= factor <= 1 << MAX_FINE
    factor_offset = form.constants[0].astype(np.int64)
    product = acc * factor
    assert np.abs(product).max() < 1 << 31
    total = (product * factor_offset[0] >> 32) + factor_offset[1]
    assert np.abs(total).max() < 1 << 31
    fine = np.maximum(np.clip(total >> FINE_SHIFT, -128, 127), zero_point)
    expected = np.maximum(scaled(coarse.rounding, coarse.constants[0], acc), zero_point)
    assert np.array_equal(fine, expected)


def test_shifts_of_usual_layers_are_fine() -> None:
    for shift in range(-11, -4):
        form = requantization(layer(3 << 29, shift, -128), np.array([1 << 20]))
        assert fine_requantization(form, np.array([1 << 20])).rounding is Rounding.FINE
    with_sign = requantization(layer(3 << 29, -7, 0), np.array([1 << 20]))
    assert fine_requantization(with_sign, np.array([1 << 20])) is with_sign
