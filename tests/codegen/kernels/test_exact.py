"""The fitted formulas reproduce the exact arithmetic for all inputs, computed here a second time in plain integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.fixed_point import Multiplier, add_multipliers, mul_multiplier, requantize
from flynet_tiny.codegen.kernels.exact import INT8_VALUES, fit_affine, fit_product_requant
from flynet_tiny.codegen.kernels.rescale import rescale

Int64 = npt.NDArray[np.int64]


def float32s(low: float, high: float) -> st.SearchStrategy[float]:
    """float32 values, as Python floats."""
    return st.floats(low, high).map(lambda value: float(np.float32(value)))


scales = float32s(0.001, 1.0)
zero_points = st.integers(-128, 127)


def smlawb(factor: int, values: Int64, acc: Int64) -> Int64:
    """The instruction, on the values' bytes in the upper half of a lane; its result must fit 32 bits."""
    result = acc + (factor * (values * 256) >> 16)
    assert np.abs(result).max() < 1 << 31
    return result


@settings(max_examples=25, deadline=None)
@given(scales, scales, float32s(0.002, 2.0), zero_points, zero_points, zero_points)
def test_an_affine_step_is_a_sum_s_three_roundings(s1: float, s2: float, so: float, z1: int, z2: int, zo: int) -> None:
    factors = add_multipliers(s1, s2, so)
    left, right = (
        requantize((INT8_VALUES - z) << 20, f.multiplier, f.shift) for z, f in ((z1, factors.input1), (z2, factors.input2))
    )
    total = left[:, np.newaxis] + right[np.newaxis, :]
    expected = requantize(total, factors.output.multiplier, factors.output.shift) + zo
    formula = fit_affine(expected, s1 / so, s2 / so, -128, 127)
    if formula is None:
        return
    first = smlawb(formula.factor0, INT8_VALUES, np.full(256, formula.bias))
    found = smlawb(formula.factor1, INT8_VALUES[np.newaxis, :], first[:, np.newaxis]) >> formula.shift
    assert np.array_equal(np.clip(found, -128, 127), np.clip(expected, -128, 127))


@settings(max_examples=25, deadline=None)
@given(scales, scales, float32s(1e-4, 10.0), zero_points, zero_points, zero_points)
def test_a_product_s_requantization_is_exact(s1: float, s2: float, so: float, z1: int, z2: int, zo: int) -> None:
    factor = mul_multiplier(s1, s2, so)
    products = (INT8_VALUES - z1)[:, np.newaxis] * (INT8_VALUES - z2)[np.newaxis, :]
    expected = np.clip(requantize(products, factor.multiplier, factor.shift) + zo, -128, 127)
    found = np.clip(fit_product_requant(products, factor, zo).apply(products), -128, 127)
    assert np.array_equal(found, expected)


@settings(deadline=None)
@given(st.integers(1 << 29, (1 << 31) - 1), st.integers(-31, 6), st.integers(1, 1 << 24), zero_points)
def test_a_rescaled_value_is_exact(multiplier: int, shift: int, largest: int, zero_point: int) -> None:
    factor = Multiplier(multiplier, shift)
    form = rescale(factor, largest, zero_point)
    values = np.unique(np.concatenate([np.arange(-5, 6), np.linspace(-largest, largest, 501).astype(np.int64)]))
    values = values[np.abs(values) <= largest]
    expected = np.clip(requantize(values, multiplier, shift) + zero_point, -128, 127)
    if form.function == "ft_scale_exact":
        assert (form.multiplier, form.offset, form.shift, form.doubled) == (multiplier, zero_point, shift, 0)
        return
    doubled = values << form.doubled
    high = ((doubled * form.multiplier + (1 << 31)) >> 32) + form.offset + (doubled >> 31)
    assert np.abs(doubled).max() < 1 << 31
    assert np.abs(high).max() < 1 << 31
    assert np.array_equal(np.clip(high >> form.shift, -128, 127), expected)


@pytest.mark.parametrize("shift", [-1, -10, -22])
def test_ordinary_multipliers_take_the_short_form(shift: int) -> None:
    assert rescale(Multiplier(1 << 30, shift), 1 << 25, -128).function == "ft_scale_away"
