"""Orders of output channels: every channel once, and words that hold what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.codegen.build import BALANCED, SIZE, Level, build_for
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.kernels.channel_twos import channel_order, equal_orders, natural_order
from flynet_tiny.codegen.kernels.parameters import arrays_of
from flynet_tiny.codegen.kernels.small_sums import SMALL

from . import conv_graphs
from .conv_graphs import Numbers

SMALL_SUMS = 1 << 20


def drawn_weights(seed: int, channels: int, taps: int, lowest: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (channels, taps))
    return np.where(rng.random(weights.shape) < lowest, -128, weights)


@given(st.integers(0, 1 << 16), st.integers(1, 40), st.integers(1, 60), st.sampled_from((0.0, 0.003, 0.05, 0.5)))
def test_every_channel_has_one_place_and_packed_words_fit(seed: int, channels: int, taps: int, lowest: float) -> None:
    weights = drawn_weights(seed, channels, taps, lowest)
    largest = np.random.default_rng(seed).choice([SMALL_SUMS, SMALL], channels, p=[0.8, 0.2])
    order = channel_order(weights, largest)
    assert sorted(order.channels) == list(range(channels))
    for even, odd in order.packed:
        assert (256 * weights[odd] + weights[even]).min() >= -32768
        assert largest[odd] < SMALL


@pytest.mark.parametrize("channels", [1, 2, 7, 32])
def test_plain_channels_keep_their_order(channels: int) -> None:
    weights = drawn_weights(0, channels, 20, 0.0)
    order = channel_order(weights, np.full(channels, SMALL_SUMS))
    assert order == natural_order(channels, is_wide=False)
    assert order.channels == list(range(channels))


@pytest.mark.parametrize("hard", [1, 2, 15, 16])
def test_half_of_the_channels_may_be_hard(hard: int) -> None:
    """Each stands beside a plain one."""
    weights = drawn_weights(3, 32, 50, 0.0)
    weights[:hard] = -128
    assert not channel_order(weights, np.full(32, SMALL_SUMS)).wide


def test_more_are_wide_two_by_two() -> None:
    weights = drawn_weights(3, 32, 50, 0.0)
    weights[::2] = -128
    weights[1:4:2] = -128
    order = channel_order(weights, np.full(32, SMALL_SUMS))
    assert len(order.wide) == 2
    assert len(order.packed) == 14


def test_groups_have_as_many_packed_twos() -> None:
    orders = [channel_order(drawn_weights(5, 6, 9, p), np.full(6, SMALL_SUMS)) for p in (0.0, 1.0)]
    made = equal_orders(orders, 1)
    assert [len(order.packed) for order in made] == [0, 0]
    assert [sorted(order.channels) for order in made] == [[0, 1, 2, 3, 4, 5]] * 2


def with_one_lowest(graph: Graph) -> Graph:
    weights = graph.tensor("w").constant().copy()
    weights[0, 0], weights[1, 0] = -128, -1
    return conv_graphs.with_weights(graph, weights)


@pytest.mark.parametrize("level", [BALANCED, SIZE], ids=lambda level: level.name)
def test_one_lowest_weight_costs_no_byte(level: Level) -> None:
    plain = conv_graphs.fully_connected(1, 1, 256, 80, Numbers())
    sizes = []
    for graph in (plain, with_one_lowest(plain)):
        call = select(graph.ops[0], graph, build_for(None, level))
        assert call.parameters.stored == "int8"
        sizes.append(sum(array.nbytes for array in arrays_of(call.parameters).values()))
    assert sizes[0] == sizes[1] < 1.1 * (80 * 256 + 80 * 4) + 12 * 80


def test_the_report_says_how_many_channels_are_wide() -> None:
    graph = conv_graphs.fully_connected(1, 1, 256, 80, Numbers())
    weights = graph.tensor("w").constant().copy()
    weights[:42] = -128
    graph = conv_graphs.with_weights(graph, weights)
    call = select(graph.ops[0], graph, build_for(None, BALANCED))
    assert call.parameters.stored == "int8, 4 channels int16"
