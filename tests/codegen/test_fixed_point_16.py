"""Sigmoid and tanh in 16 bits: close to the functions over all inputs, with the signs and ends that gemmlowp gives."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.codegen import fixed_point as fp
from flynet_tiny.codegen import fixed_point_16 as fixed

EVERY = np.arange(-(1 << 15), 1 << 15)


@pytest.mark.parametrize("bits", range(7))
def test_they_are_the_functions(bits: int) -> None:
    real = EVERY / 2.0 ** (15 - bits)
    assert np.abs(fixed.tanh_16(EVERY, bits) / 32768 - np.tanh(real)).max() < 0.0012
    assert np.abs(fixed.sigmoid_16(EVERY, bits) / 32768 - 1 / (1 + np.exp(-real))).max() < 0.0006


def test_symmetry_and_ends() -> None:
    assert fixed.sigmoid_16(0, 3) == 1 << 14
    assert fixed.tanh_16(0, 3) == 0
    positive = np.arange(1, 1 << 15)
    assert np.array_equal(fixed.tanh_16(-positive, 3), -fixed.tanh_16(positive, 3))
    assert np.array_equal(fixed.sigmoid_16(-positive, 3), 32767 - fixed.sigmoid_16(positive, 3))


def test_constants_are_those_of_32_bits_rounded() -> None:
    narrow = {c: int(fp.rounding_divide_by_pot(np.int64(c), 16)) for c in (1895147668, 715827883, 1515870810, -1010580540)}
    assert list(narrow.values()) == [
        fixed.EXP_OF_MINUS_EIGHTH, fixed.ONE_THIRD, fixed.PLUS_48_OVER_17, fixed.MINUS_32_OVER_17,
    ]  # fmt: skip
