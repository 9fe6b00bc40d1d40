from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.minimise.certificate import Certificate
from flynet_tiny.codegen.minimise.minimise import Minimised, minimise
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import UnsupportedOperators
from flynet_tiny.verify.inputs import extreme_inputs

from ...fuzz.drawn_graphs import draw
from ...small_models import Sketch, attention_block
from .dead_channels import OUT_OF_REACH, clamp, residual, separable, separable_file, set_channel, set_reads


def kept(found: Minimised, name: str) -> tuple[int, ...]:
    entry = found.certificate.by_name.get(name)
    return entry.kept if entry is not None else tuple(range(found.graph.tensor(name).shape[-1]))


def require_same(source: Graph, found: Minimised, seed: int = 0) -> None:
    """Every tensor that stays has the bytes of its channels, every channel that went for never changing its constant."""
    for named in extreme_inputs(source, 3, seed):
        whole, narrow = reference.run(source, named.values), reference.run(found.graph, named.values)
        assert set(source.outputs) <= set(narrow)
        for name, values in whole.items():
            if name not in found.certificate.by_name:
                assert name not in narrow or np.array_equal(values, narrow[name]), name
                continue
            known = found.certificate.known_channels(name, values.shape, narrow.get(name))
            if known is not None:
                channels, expected = known
                assert np.array_equal(values[..., channels], expected), name


def minimised(data: bytes) -> Minimised:
    source = read_tflite(data)
    found = minimise(source)
    require_same(source, found)
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 31))
def test_every_byte_stays(seed: int) -> None:
    try:
        source = read_tflite(draw(seed, dead_channels=True))
    except UnsupportedOperators:
        return
    found = minimise(source)
    require_same(source, found, seed)
    if not found.certificate.simplified:  # a table knows of its operators together what no interval knew of each
        assert minimise(found.graph).certificate == Certificate()


def test_drawn_graphs_lose_channels() -> None:
    """Else the test above would say nothing."""
    found = []
    for seed in range(20):
        with suppress(UnsupportedOperators):
            found.append(minimise(read_tflite(draw(seed, dead_channels=True))).certificate)
    assert sum(bool(certificate.tensors) for certificate in found) >= 5
    assert any(entry.copies for certificate in found for entry in certificate.tensors)
    assert any(certificate.simplified for certificate in found)


def test_a_graph_without_dead_channels_stays_the_same_object() -> None:
    source = read_tflite(attention_block())
    assert minimise(source).graph is source


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_constants_that_are_the_paddings_value_go_through_a_depthwise_convolution(padding: str) -> None:
    """As in visual wake words: RELU with zero point -128, so that what is dead is -128 and adds nothing at a border either."""
    found = minimised(separable_file(padding))
    assert kept(found, "a") == kept(found, "b") == (0, 2, 3, 5)
    assert found.certificate.by_name["a"].constants == {1: -128, 4: -128}
    assert found.graph.tensor("a_w_of_a").shape == (4, 1, 1, 3)
    assert found.graph.tensor("b_w_of_b").shape == (1, 3, 3, 4)
    assert found.graph.tensor("y_w_of_y").shape == (4, 1, 1, 4)


def test_a_constant_beside_the_paddings_value_stays_where_it_meets_the_border() -> None:
    """Channels 1 and 4 of `a` are 127: the depthwise sums differ between the map's inside and its border."""
    found = minimised(separable_file("SAME", zero_point=-20, dead=-OUT_OF_REACH))
    assert not found.certificate
    found = minimised(separable_file("VALID", zero_point=-20, dead=-OUT_OF_REACH))
    assert kept(found, "a") == kept(found, "b") == (0, 2, 3, 5)


def test_a_constant_that_stays_constant_at_the_border_goes() -> None:
    """The depthwise filters of the dead channels cannot leave their clamp, whatever of them lies on the map."""
    s = separable("SAME", zero_point=-20, dead=-OUT_OF_REACH)
    for channel in (1, 4):
        set_channel(s, "b", channel, bias=-OUT_OF_REACH, weight=1)
    found = minimised(s.file(("x",), ("y",)))
    assert kept(found, "a") == kept(found, "b") == (0, 2, 3, 5)
    assert found.certificate.by_name["b"].constants == {1: -20, 4: -20}


@pytest.mark.parametrize("stride", [1, 2])
def test_a_window_over_the_border_keeps_a_constant_but_not_one_that_its_border_does_not_read(stride: int) -> None:
    def of(borders_read: bool) -> Minimised:
        s = Sketch(3)
        s.act("x", (1, 5, 5, 3))
        s.act("a", (1, 5, 5, 4))
        s.conv("x", "a", 4)
        set_channel(s, "a", 1, 900)
        side = -(-5 // stride)
        s.act("y", (1, side, side, 2))
        s.conv("a", "y", 2, 3, "SAME", stride)
        weights = s.tensors["y_w"]
        assert weights.data is not None
        values = weights.data.copy()
        if not borders_read:
            middle = values[:, 1, 1, 1].copy()
            values[..., 1] = 0
            values[:, 1, 1, 1] = middle
        s.tensors["y_w"] = replace(weights, data=values)
        return minimised(s.file(("x",), ("y",)))

    assert kept(of(borders_read=True), "a") == (0, 1, 2, 3)
    assert kept(of(borders_read=False), "a") == (0, 2, 3)


def test_an_interval_of_two_values_stays() -> None:
    """A bias at the very edge of the clamp: with one step more the channel never changes."""
    s = Sketch()
    s.act("x", (1, 2, 2, 1), 0.05, -128)
    s.act("a", (1, 2, 2, 2), 0.05, -128)
    s.conv("x", "a", 2)
    clamp(s, "RELU")
    set_channel(s, "a", 0, bias=0, weight=100)
    scale = s.tensors["a_w"].scales[1]
    half_a_step = 0.5 / scale  # the first sum that rounds to one step above the zero point
    for bias, is_dead in ((np.ceil(half_a_step) - 255, False), (np.floor(half_a_step) - 256, True)):
        set_channel(s, "a", 1, int(bias), weight=1)
        t = Sketch()
        t.tensors, t.ops = dict(s.tensors), list(s.ops)
        t.act("y", (1, 2, 2, 2), 0.0001)
        t.conv("a", "y", 2)
        found = minimised(t.file(("x",), ("y",)))
        assert (kept(found, "a") == (0,)) is is_dead


def test_what_nobody_reads_goes_back_to_where_it_begins() -> None:
    """Channel 3 of `b` is read with weights of 0: it goes, and the depthwise filter and the convolution before it."""
    s = separable()
    set_reads(s, "y", 3)
    found = minimised(s.file(("x",), ("y",)))
    assert kept(found, "a") == kept(found, "b") == (0, 2, 5)
    assert [channel.value for channel in found.certificate.by_name["b"].removed] == [-128, None, -128]


def test_an_operator_that_nobody_reads_goes() -> None:
    s = Sketch()
    s.act("x", (1, 4, 4, 3))
    s.act("y", (1, 4, 4, 3))
    s.op("HARD_SWISH", ("x",), "y")
    s.act("lost", (1, 4, 4, 2))
    s.conv("y", "lost", 2)
    s.act("lost_too", (1, 1, 1, 2))
    s.op("MEAN", ("lost", s.const("axes", [1, 2])), "lost_too", keepDims=True)
    found = minimised(s.file(("x",), ("y",)))
    assert [op.output for op in found.graph.ops] == ["y"]
    assert kept(found, "lost") == kept(found, "lost_too") == ()


@pytest.mark.parametrize("both", [True, False])
def test_maps_of_a_residual_lose_a_channel_together_or_not_at_all(both: bool) -> None:
    found = minimised(residual(both))
    channels = (0, 1, 3, 4) if both else (0, 1, 2, 3, 4)
    assert {kept(found, name) for name in ("a", "b", "sum")} == {channels}


def test_inputs_and_outputs_stay_whole() -> None:
    s = Sketch()
    s.act("x", (1, 4, 4, 3))
    s.act("a", (1, 4, 4, 4))
    s.conv("x", "a", 4)
    set_channel(s, "a", 1, 500)
    set_reads(s, "a", 2)
    s.act("y", (1, 4, 4, 2))
    s.conv("a", "y", 2)
    set_channel(s, "y", 0, 500)
    found = minimised(s.file(("x",), ("y", "a")))
    assert not found.certificate


def test_a_network_of_constants_keeps_one_channel_for_each_operator() -> None:
    s = Sketch()
    s.act("x", (1, 4, 4, 3))
    s.act("a", (1, 4, 4, 4))
    s.conv("x", "a", 4)
    for channel in range(4):
        set_channel(s, "a", channel, 100 * channel)
    s.act("y", (1, 4, 4, 2))
    s.conv("a", "y", 2)
    found = minimised(s.file(("x",), ("y",)))
    assert kept(found, "a") == (0,)
    assert [op.kind for op in found.graph.ops] == [OpKind.CONV_2D, OpKind.CONV_2D]


def test_a_flattened_map_loses_its_channels_in_the_weights_of_fully_connected() -> None:
    s = Sketch()
    s.act("x", (1, 3, 2, 3))
    s.act("a", (1, 3, 2, 4))
    s.conv("x", "a", 4)
    set_channel(s, "a", 2, 800)
    s.op("RESHAPE", ("a", s.const("flat", [1, 24])), s.like("line", "a", (1, 24)))
    s.act("y", (1, 5))
    s.fully_connected("line", "y", 5)
    found = minimised(s.file(("x",), ("y",)))
    assert kept(found, "a") == (0, 1, 3)
    assert found.graph.tensor("line").shape == (1, 18)
    assert found.graph.tensor("y_w_of_y").shape == (5, 18)


def test_places_of_slices_gathers_and_concatenations_follow() -> None:
    s = Sketch()
    s.act("x", (1, 3, 3, 3))
    s.act("a", (1, 3, 3, 5))
    s.conv("x", "a", 5)
    set_channel(s, "a", 0, 800)
    set_channel(s, "a", 3, -800)
    s.op("SLICE", ("a", s.const("begin", [0, 0, 0, 1]), s.const("size", [1, 3, 3, 4])), s.like("cut", "a", (1, 3, 3, 4)))
    s.op("GATHER", ("a", s.const("indices", [4, 0, 2, 4])), s.like("taken", "a", (1, 3, 3, 4)), axis=3)
    s.op(
        "CONCATENATION", ("cut", "taken"), s.like("joined", "a", (1, 3, 3, 8)), axis=3, fusedActivationFunction="NONE"
    )  # fmt: skip
    s.act("y", (1, 3, 3, 2))
    s.conv("joined", "y", 2)
    found = minimised(s.file(("x",), ("y",)))
    assert kept(found, "a") == (1, 2, 4)
    assert kept(found, "joined") == (0, 1, 3, 4, 6, 7)


def in_groups(dead: tuple[int, ...], dead_results: tuple[int, ...] = (), padding: str = "VALID") -> Minimised:
    """`a` = conv(x), 8 channels; `b` = 3x3 convolution of `a` in 2 groups to 6 channels; `y` = conv(b).

    dead          channels of `a` that never change
    dead_results  channels of `b` that `y` does not read
    """
    s = Sketch(7)
    s.act("x", (1, 5, 5, 3))
    s.act("a", (1, 5, 5, 8))
    s.conv("x", "a", 8)
    for channel in dead:
        set_channel(s, "a", channel, 600 + channel)
    side = 5 if padding == "SAME" else 3
    s.act("b", (1, side, side, 6))
    s._weighted("CONV_2D", "a", "b", (6, 3, 3, 4), 0, padding, 1, {})
    s.act("y", (1, side, side, 2))
    s.conv("b", "y", 2)
    for channel in dead_results:
        set_reads(s, "y", channel)
    return minimised(s.file(("x",), ("y",)))


@pytest.mark.parametrize(
    ("dead", "left", "unread", "results"),
    [
        ((1, 6), (0, 2, 3, 4, 5, 7), (), (0, 1, 2, 3, 4, 5)),  # one of each group
        ((1, 2, 6), (0, 1, 3, 4, 5, 7), (), (0, 1, 2, 3, 4, 5)),  # two and one: one comes back
        ((1,), (0, 1, 2, 3, 4, 5, 6, 7), (), (0, 1, 2, 3, 4, 5)),
        ((), (0, 1, 2, 3, 4, 5, 6, 7), (1, 3), (0, 2, 4, 5)),
        ((), (4, 5, 6, 7), (0, 1, 2), (3, 4, 5)),  # a whole group: an ordinary convolution is left
        ((0, 1, 2, 3), (4, 5, 6, 7), (), (3, 4, 5)),  # what the other makes never changes either
    ],
)
def test_groups_of_a_convolution_keep_as_many_channels_each(
    dead: tuple[int, ...], left: tuple[int, ...], unread: tuple[int, ...], results: tuple[int, ...]
) -> None:
    found = in_groups(dead, unread)
    assert kept(found, "a") == left
    assert kept(found, "b") == results


def test_a_constant_that_meets_the_border_of_groups_stays() -> None:
    assert not in_groups((1, 6), padding="SAME").certificate
