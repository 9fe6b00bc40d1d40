"""Multipliers in pieces round as LiteRT does, in 32 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.codegen import fixed_point as fp
from flynet_tiny.codegen.kernels.plain.scaling import PIECES, Pieces, in_pieces
from flynet_tiny.codegen.kernels.requantization import requantization

from ..test_requantization import MULTIPLIERS, accumulators, layer


def in_32_bits(values: np.ndarray) -> np.ndarray:
    assert np.abs(values).max() < 1 << 31
    return values


def scaled(form: str, words: np.ndarray, cut: Pieces, acc: np.ndarray) -> np.ndarray:
    """ft_plain_scale of scale.h, with the 32-bit limits asserted."""
    offset, lower, last = (int(word) for word in words)
    low = in_32_bits(acc * (lower & 0xFFFF)) >> cut.bits
    if cut.count == 3:
        low = in_32_bits(acc * (lower >> 16) + low) >> cut.bits
    total = in_32_bits(in_32_bits(acc * (last & 0xFFFF) + low) + offset)
    if "AWAY" in form:
        total = (total >> cut.kept) + (acc >> 31)
    assert 0 <= last >> 16 <= 31
    return np.clip(total >> (last >> 16), -128, 127)


@pytest.mark.parametrize("cut", PIECES, ids=["two", "three"])
@given(
    multiplier=MULTIPLIERS,
    shift=st.integers(-22, -1),
    zero_point=st.integers(-128, 127),
    once=st.booleans(),
    cut_at_zero=st.booleans(),
)
def test_pieces_are_exact(cut: Pieces, multiplier: int, shift: int, zero_point: int, once: bool, cut_at_zero: bool) -> None:
    largest = np.array([cut.most])
    low = zero_point if cut_at_zero else -128
    requant = requantization(layer(multiplier, shift, zero_point, activation_min=low), largest, once)
    found = in_pieces(requant, largest, cut)
    if found is None:
        offset = int(requant.constants[0, 1])
        assert abs(offset << cut.kept) >= (1 << 30) - (1 << cut.kept)
        return
    acc = np.clip(accumulators(multiplier, shift, cut.most), -cut.most, cut.most)
    rounded = (fp.requantize_single_rounding if once else fp.requantize)(acc, multiplier, shift)
    expected = np.clip(rounded + zero_point, low, 127)
    assert np.array_equal(np.maximum(scaled(found[0], found[1][0], cut, acc), low), expected)


@pytest.mark.parametrize("cut", PIECES, ids=["two", "three"])
def test_larger_sums_are_refused(cut: Pieces) -> None:
    largest = np.array([cut.most + 1])
    assert in_pieces(requantization(layer(1 << 30, -3, 0), largest), largest, cut) is None
