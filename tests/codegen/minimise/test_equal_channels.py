"""Channels that are always equal to others: found, folded into their readers' weights, and proven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.minimise.certificate import Certificate, EqualChannels
from flynet_tiny.codegen.minimise.contract import require_contract
from flynet_tiny.codegen.minimise.equal_channels import equal_channels
from flynet_tiny.codegen.minimise.intervals import graph_bounds
from flynet_tiny.codegen.minimise.minimise import Minimised, remove_channels
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import GraphError
from flynet_tiny.errors import UnsupportedOperators
from flynet_tiny.report.minimisation import minimisation_of
from flynet_tiny.verify.compare import compare_judges
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt
from flynet_tiny.verify.onnx_twin import OnnxTwin

from ...fuzz.drawn_graphs import draw
from ...judges import Recorded, ReferenceJudge
from ...small_models import Sketch
from ...stateful_models import StatefulSketch
from .test_minimise import kept, require_same


def copy(s: Sketch, layer: str, channel: int, of: int) -> None:
    """Make one output channel of a layer equal to another one."""
    weights, bias = s.tensors[f"{layer}_w"], s.tensors[f"{layer}_b"]
    assert weights.data is not None
    assert bias.data is not None
    values, sums, scales = weights.data.copy(), bias.data.copy(), np.array(weights.scales)
    outputs = np.moveaxis(values, 3 if weights.axis == 3 else 0, 0)
    for array in (outputs, sums, scales) if len(scales) > 1 else (outputs, sums):
        array[channel] = array[of]
    s.tensors[f"{layer}_w"] = replace(weights, data=values, scales=tuple(scales.tolist()))
    s.tensors[f"{layer}_b"] = replace(bias, data=sums)


def halve(s: Sketch, layer: str) -> None:
    """Weights of which two can be added up."""
    weights = s.tensors[f"{layer}_w"]
    assert weights.data is not None
    s.tensors[f"{layer}_w"] = replace(weights, data=weights.data // 2)


def separable(same_filters: bool = True, small: bool = True, output: bool = False) -> bytes:
    """`a` = 1x1(x), `b` = depthwise 3x3(a), `y` = 1x1(b): of `a` channel 3 is 1, of `b` too where the filters are."""
    s = Sketch(2)
    s.act("x", (1, 6, 6, 3))
    s.act("a", (1, 6, 6, 5))
    s.conv("x", "a", 5)
    copy(s, "a", 3, 1)
    s.act("b", (1, 6, 6, 5))
    s.depthwise("a", "b", 1, 3)
    if same_filters:
        copy(s, "b", 3, 1)
    s.act("y", (1, 6, 6, 4))
    s.conv("b", "y", 4)
    if small:
        halve(s, "y")
    return s.file(("x",), ("y", "b") if output else ("y",))


def minimised(data: bytes) -> Minimised:
    source = read_tflite(data)
    found = remove_channels(source)
    require_same(source, found)
    return found


def test_a_copy_goes_through_a_depthwise_convolution() -> None:
    found = minimised(separable())
    assert kept(found, "a") == kept(found, "b") == (0, 1, 2, 4)
    assert found.certificate.by_name["b"].copies == {3: 1}
    weights, narrow = (graph.tensor(name).constant().astype(int) for graph, name in
                       ((read_tflite(separable()), "y_w"), (found.graph, "y_w_of_y")))  # fmt: skip
    assert np.array_equal(narrow[..., 1], weights[..., 1] + weights[..., 3])


@pytest.mark.parametrize(("same_filters", "small", "output"), [(False, True, False), (True, False, False), (True, True, True)])
def test_near_misses_keep_it(same_filters: bool, small: bool, output: bool) -> None:
    """Another filter behind it, weights whose sum is no int8, a tensor that is shown."""
    assert not minimised(separable(same_filters, small, output)).certificate


@pytest.mark.parametrize("what", ["bias", "scale", "weight"])
def test_what_differs_a_little_is_no_copy(what: str) -> None:
    s = Sketch(2)
    s.act("x", (1, 6, 6, 3))
    s.act("a", (1, 6, 6, 5))
    s.conv("x", "a", 5)
    copy(s, "a", 3, 1)
    weights, bias = s.tensors["a_w"], s.tensors["a_b"]
    assert weights.data is not None
    assert bias.data is not None
    if what == "bias":
        bias.data[3] += 1
    elif what == "weight":
        weights.data[3, 0, 0, 2] ^= 1
    else:
        scales = list(weights.scales)
        scales[3] = float(np.nextafter(np.float32(scales[3]), np.float32(1)))
        s.tensors["a_w"] = replace(weights, scales=tuple(scales))
    s.act("y", (1, 6, 6, 4))
    s.conv("a", "y", 4)
    halve(s, "y")
    assert not minimised(s.file(("x",), ("y",))).certificate


def two_convolutions(build: Callable[[Sketch], None]) -> Minimised:
    """`a` = conv(x) with channel 2 as 0, what `build` makes of it: `m`, `y` = conv(m)."""
    s = Sketch(4)
    s.act("x", (1, 4, 4, 3))
    s.act("a", (1, 4, 4, 4), 0.04, -5)
    s.conv("x", "a", 4)
    copy(s, "a", 2, 0)
    build(s)
    s.act("y", (1, *s.tensors["m"].shape[1:3], 2))
    s.conv("m", "y", 2)
    halve(s, "y")
    return minimised(s.file(("x",), ("y",)))


def test_a_row_is_a_copy_where_its_weights_are_over_copies() -> None:
    """Of two rows that read channels 0 and 2 of `a`, only the sums of the weights are the same."""

    def build(s: Sketch) -> None:
        s.act("m", (1, 4, 4, 3))
        s.conv("a", "m", 3)
        halve(s, "m")
        copy(s, "m", 2, 0)
        weights = s.tensors["m_w"].data
        assert weights is not None
        weights[2, 0, 0, 0] += 7
        weights[2, 0, 0, 2] -= 7

    found = two_convolutions(build)
    assert kept(found, "a") == (0, 1, 3)
    assert kept(found, "m") == (0, 1)


def test_channels_of_two_tensors_with_one_number_are_no_copies() -> None:
    """CONCATENATION of two convolutions: channel 0 of one is not channel 0 of the other."""

    def build(s: Sketch) -> None:
        s.like("b", "a", (1, 4, 4, 4))
        s.conv("x", "b", 4)
        s.op("CONCATENATION", ("a", "b"), s.like("m", "a", (1, 4, 4, 8)), axis=3, fusedActivationFunction="NONE")

    found = two_convolutions(build)
    assert found.certificate.by_name["m"].copies == {2: 0}
    assert kept(found, "b") == (0, 1, 2, 3)


def test_moves_sums_and_functions_of_copies_are_copies() -> None:
    def build(s: Sketch) -> None:
        s.op("HARD_SWISH", ("a",), s.act("b", (1, 4, 4, 4)))
        s.op("AVERAGE_POOL_2D", ("b",), s.like("c", "b", (1, 2, 2, 4)), strideH=2, strideW=2, filterHeight=2, filterWidth=2,
             padding="VALID", fusedActivationFunction="NONE")  # fmt: skip
        s.op("PAD", ("c", s.const("pads", [[0, 0], [1, 0], [0, 1], [0, 0]])), s.like("d", "b", (1, 3, 3, 4)))
        s.op("MUL", ("d", "d"), s.act("e", (1, 3, 3, 4)), fusedActivationFunction="NONE")
        s.op("GATHER", ("e", s.const("indices", [2, 1, 0, 3, 1])), s.like("m", "e", (1, 3, 3, 5)), axis=3)

    found = two_convolutions(build)
    assert found.certificate.by_name["a"].copies == {0: 2}
    assert found.certificate.by_name["m"].copies == {2: 0, 4: 1}


def test_a_residual_keeps_a_copy_that_is_one_in_one_map_alone() -> None:
    s = Sketch(4)
    maps = (1, 4, 4, 4)
    s.act("x", maps)
    s.act("a", maps)
    s.conv("x", "a", 4)
    copy(s, "a", 2, 0)
    s.op("ADD", ("a", "x"), s.act("m", maps), fusedActivationFunction="NONE")
    s.act("y", (1, 4, 4, 2))
    s.conv("m", "y", 2)
    halve(s, "y")
    assert not minimised(s.file(("x",), ("y",))).certificate


def streaming(start: int) -> Graph:
    """Channel 3 of what is kept is assigned as channel 1 is; `start` is channel 3's first value, 5 that of channel 1."""
    s = StatefulSketch(2)
    s.act("x", (1, 1, 2, 3))
    s.act("a", (1, 1, 2, 4))
    s.conv("x", "a", 4)
    copy(s, "a", 3, 1)
    s.like("old", "a", (1, 1, 2, 4))
    s.begins("v", "old", np.array([1, 5, 9, start]))
    s.read("v", "old")
    s.op("ADD", ("old", "a"), s.like("sum", "a", (1, 1, 2, 4)), fusedActivationFunction="NONE")
    s.assign("v", "sum")
    s.act("y", (1, 1, 2, 2))
    s.conv("sum", "y", 2)
    halve(s, "y")
    return read_tflite(s.file())


def test_channels_of_a_variable_are_equal_with_equal_starts_alone() -> None:
    same, other = streaming(5), streaming(6)
    assert remove_channels(same).certificate.by_name["old"].copies == {3: 1}
    assert not remove_channels(other).certificate
    found = remove_channels(same)
    facts = tuple(replace(fact, first=(0, 1, 2, 1)) for fact in found.certificate.equal)
    with pytest.raises(GraphError, match="need not be equal"):
        require_contract(other, found.graph, replace(found.certificate, equal=facts))


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1 << 31))
def test_channels_that_are_equal_have_equal_values(seed: int) -> None:
    try:
        graph = read_tflite(draw(seed, dead_channels=True))
    except UnsupportedOperators:
        return
    equal = equal_channels(graph, graph_bounds(graph))
    for named in extreme_inputs(graph, 2, seed):
        for name, values in reference.run(graph, named.values).items():
            assert np.array_equal(values[..., equal[name]], values), name


def test_every_judge_compares_a_copy() -> None:
    data = separable()
    compiled = compile_tflite(data, "net")
    graph, inputs = compiled.source_graph, extreme_inputs(compiled.source_graph, 3)
    report = minimisation_of(compiled)
    assert (report.copies, report.unread, report.constant) == (2, 0, 0)
    assert [(tensor.name, tensor.copies, tensor.copied) for tensor in report.tensors] == [("a", (3,), (1,)), ("b", (3,), (1,))]
    assert report.line.startswith("0 of 14 channels never change, 2 are copies; ")
    with HostLibrary(compiled.library) as host, LiteRt(graph, data) as litert:
        results = host.run_many([named.values for named in inputs])
        in_c = Recorded(graph, results, host.name, compiled.certificate)
        pairs = compare_judges(graph, OnnxTwin(graph), [litert, in_c], inputs)
    assert [pair.differing for pair in pairs] == [0, 0]
    assert pairs[0].bytes == pairs[1].bytes
    entry = compiled.certificate.by_name["b"]
    wrong = replace(entry, removed=tuple(replace(removed, copy_of=2) for removed in entry.removed))
    in_c = Recorded(graph, results, "C", Certificate((compiled.certificate.by_name["a"], wrong)))
    (found,) = compare_judges(graph, ReferenceJudge(graph), [in_c], inputs)
    assert found.first is not None
    assert found.first.tensor == "b"
    assert found.first.index[3] == 3


# --- the contract ---------------------------------------------------------------------------------------------------


def test_the_contract_refuses_copies_that_are_none() -> None:
    source = read_tflite(separable())
    found = remove_channels(source)
    require_contract(source, found.graph, found.certificate)
    entry = found.certificate.by_name["b"]
    wrong = replace(entry, removed=tuple(replace(removed, copy_of=2) for removed in entry.removed))
    tensors = tuple(wrong if tensor.name == "b" else tensor for tensor in found.certificate.tensors)
    with pytest.raises(GraphError, match="no copy of 2"):
        require_contract(source, found.graph, replace(found.certificate, tensors=tensors))
    for name, first in (("a", (0, 1, 2, 2, 4)), ("b", (0, 1, 2, 0, 4)), ("x", (0, 0, 2))):
        facts = (*(fact for fact in found.certificate.equal if fact.name != name), EqualChannels(name, first))
        with pytest.raises(GraphError, match=r"need not be equal|no copy"):
            require_contract(source, found.graph, replace(found.certificate, equal=facts))


def test_the_contract_refuses_another_sum_of_weights() -> None:
    source = read_tflite(separable())
    found = remove_channels(source)
    weights = found.graph.tensor("y_w_of_y")
    data = weights.constant().copy()
    data[0, 0, 0, 1] ^= 1
    tensors = {**found.graph.tensors, "y_w_of_y": replace(weights, data=data)}
    with pytest.raises(GraphError, match="constants folded"):
        require_contract(source, replace(found.graph, tensors=tensors), found.certificate)
    with pytest.raises(GraphError):
        require_contract(source, found.graph, replace(found.certificate, equal=()))
