"""Layouts follow what NumPy's transpose and reshape do, and move nothing."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.export.layout import Layout, channels_last_order

SIZES = st.sampled_from([1, 1, 2, 3, 4, 6])


@st.composite
def steps(draw):
    """A shape, an order in memory, and transpositions and reshapes to go through."""
    shape = draw(st.lists(SIZES, min_size=1, max_size=5))
    order = draw(st.permutations(range(len(shape))))
    chain, size = [], math.prod(shape)
    current = list(shape)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            permutation = draw(st.permutations(range(len(current))))
            chain.append(("transpose", tuple(permutation)))
            current = [current[axis] for axis in permutation]
        else:
            left, current = size, []
            while left > 1 and len(current) < 4:
                factor = draw(st.sampled_from([f for f in range(1, left + 1) if left % f == 0]))
                current.append(factor)
                left //= factor
            current.append(left)
            chain.append(("reshape", tuple(current)))
    return tuple(shape), tuple(order), chain


@given(steps())
def test_views_move_nothing_and_say_what_numpy_says(case):
    shape, order, chain = case
    logical = np.arange(math.prod(shape)).reshape(shape)
    layout = Layout.ordered(shape, order)
    memory = layout.to_memory(logical)
    np.testing.assert_array_equal(memory, logical.transpose(order).reshape(-1))
    for step, argument in chain:
        following = layout.transpose(argument) if step == "transpose" else layout.reshape(argument)
        if following is None:
            break  # no view exists
        layout = following
        logical = logical.transpose(argument) if step == "transpose" else logical.reshape(argument)
        assert layout.shape == logical.shape
        np.testing.assert_array_equal(layout.to_memory(logical), memory)


@given(st.lists(SIZES, min_size=1, max_size=4), st.data())
def test_a_row_major_array_takes_every_reshape(shape, data):
    target = data.draw(st.permutations(shape))
    layout = Layout.ordered(shape, range(len(shape))).reshape(target)
    assert layout == Layout.ordered(target, range(len(target)))


def test_the_heads_of_a_channel_are_the_fastest_in_memory():
    maps = Layout.channels_last((1, 12, 5, 5)).reshape((1, 4, 3, 5, 5))
    assert maps.sizes == (5, 5, 4, 3)
    assert maps.span(2) == (100, 1)
    assert maps.without([2]).reshape((1, 4, 5, 5)) == Layout.channels_last((1, 4, 5, 5))


def test_a_map_of_one_pixel_is_in_every_order():
    one_pixel = Layout.channels_last((1, 7, 1, 1))
    assert one_pixel.is_ordered((0, 1, 2, 3))
    assert one_pixel.reshape((1, 7)) == Layout.ordered((1, 7), (0, 1))


def test_a_flattened_map_is_scattered():
    flat = Layout.channels_last((1, 3, 4, 5)).reshape((1, 60))
    assert flat.span(1) is None
    assert not flat.is_ordered((0, 1))
    columns = flat.to_memory(np.arange(60).reshape(1, 60))
    np.testing.assert_array_equal(columns, np.arange(60).reshape(3, 4, 5).transpose(1, 2, 0).reshape(-1))


def test_equal_sizes_are_not_confused():
    maps = Layout.channels_last((1, 4, 4, 4))
    assert maps != Layout.ordered((1, 4, 4, 4), (0, 1, 2, 3))
    assert maps.is_ordered(channels_last_order(4))
    assert not maps.transpose((0, 2, 3, 1)).is_ordered(channels_last_order(4))
    assert maps.transpose((0, 2, 3, 1)).is_ordered((0, 1, 2, 3))


def test_a_regrouping_across_memory_has_no_view():
    assert Layout.channels_last((1, 4, 2, 2)).reshape((1, 2, 8)) is not None  # channels split, map merged into each half
    assert Layout.channels_last((1, 3, 2, 2)).reshape((1, 2, 6)) is None  # cuts inside a channel's map


@given(st.lists(st.sampled_from([2, 3, 4]), min_size=3, max_size=5), st.data())
def test_dimensions_know_their_axes(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    layout = Layout.ordered(shape, order)
    dims = layout.axes_of_dims([shape[axis] for axis in order])
    assert dims == [{axis} for axis in order]
    assert layout.axes_of_dims([math.prod(shape)]) == [set(range(len(shape)))]


def test_resizing_an_axis_keeps_the_order():
    maps = Layout.channels_last((1, 6, 4, 5))
    assert maps.resize(1, 9) == Layout.channels_last((1, 9, 4, 5))
    assert maps.resize(2, 1) == Layout.channels_last((1, 6, 1, 5))
    assert Layout.channels_last((1, 1, 4, 5)).resize(1, 3) == Layout.channels_last((1, 3, 4, 5))
