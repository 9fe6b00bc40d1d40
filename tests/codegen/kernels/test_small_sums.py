"""Channels with small accumulators equal those that they stand for, at every accumulator between the bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.kernels.accumulators import MAX_SHIFT, accumulator_bounds, is_fast
from flynet_tiny.codegen.kernels.convolution import convolution
from flynet_tiny.codegen.kernels.parameters import arrays_of
from flynet_tiny.codegen.kernels.small_sums import SMALL, ChannelScale, small_sums

from . import conv_graphs
from .conv_cases import square
from .conv_graphs import Numbers


@given(
    st.integers(1 << 30, (1 << 31) - 1),
    st.integers(-31, -1),
    st.integers(-128, 127),
    st.booleans(),
    st.integers(-(1 << 30), 1 << 30),
    st.integers(0, 1 << 13),
    st.sampled_from([(-128, 127), (-128, 30), (5, 127)]),
)
def test_a_channel_found_is_the_same_function_of_the_accumulator(
    multiplier: int, shift: int, zero_point: int, once: bool, bias: int, span: int, clamp: tuple[int, int]
) -> None:
    scale = ChannelScale(multiplier, shift, zero_point, once)
    found = small_sums(scale, bias - span, bias + span, *clamp)
    if found is None:
        return
    acc = np.arange(bias - span, bias + span + 1)
    expected = np.clip(scale(acc), *clamp)
    moved = acc - found.distance
    if found.is_constant:
        moved = 0 * moved
    else:
        assert np.abs(moved).max() < SMALL
        assert 1 <= -found.scale.shift <= MAX_SHIFT
    assert np.array_equal(np.clip(found.scale(moved), *clamp), expected)


@given(st.integers(1 << 30, (1 << 31) - 1), st.integers(-31, -23), st.booleans(), st.integers(0, (1 << 21) - 1))
def test_one_step_of_a_large_right_shift_is_always_found(multiplier: int, shift: int, once: bool, span: int) -> None:
    scale = ChannelScale(multiplier, shift, 3, once)
    step = int(scale.steps(np.array([4]), 0, (1 << 32) - 1)[0])
    assert small_sums(scale, step - 1 - span, step + span, -128, 127) is not None


def test_the_steps_are_the_first_accumulators_of_their_values() -> None:
    scale = ChannelScale(1 << 30, -4, 0, once=False)
    values = np.array([-3, 0, 7])
    steps = scale.steps(values, -1000, 1000)
    assert np.array_equal(scale(steps), values)
    assert np.array_equal(scale(steps - 1), values - 1)


def test_a_layer_with_large_biases_is_packed_and_scaled_in_32_bits() -> None:
    """A third of the channels would be large: the layer takes no byte more than without them."""
    plain, graph = (conv_graphs.conv_2d(0, (6, 6, 40), 12, square(3), Numbers(large_biases=large)) for large in (False, True))
    conv = convolution(graph.ops[0], graph)
    low, high = accumulator_bounds(conv.filters, conv.bias, conv.input_zero_point)
    reach = np.maximum(np.abs(low), np.abs(high))
    assert np.abs(graph.tensor("b").constant()).max() >= SMALL
    assert reach.max() < SMALL
    assert is_fast(conv.multiplier, conv.shift, reach).all()
    sizes = [sum(a.nbytes for a in arrays_of(select(g.ops[0], g, DEFAULT_BUILD).parameters).values()) for g in (plain, graph)]
    assert sizes[0] == sizes[1]
