"""The contract refuses what the removal would never make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.codegen.ir import GatherAttrs, Graph
from flynet_tiny.codegen.minimise import minimise as module
from flynet_tiny.codegen.minimise.certificate import Certificate, NarrowedTensor, RemovedChannel
from flynet_tiny.codegen.minimise.channels import kept_channels
from flynet_tiny.codegen.minimise.contract import limits, require_contract
from flynet_tiny.codegen.minimise.intervals import Bounds, graph_bounds
from flynet_tiny.codegen.minimise.minimise import Minimised, minimise
from flynet_tiny.codegen.minimise.narrow import narrowed
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import GraphError

from ...small_models import Sketch
from .dead_channels import OUT_OF_REACH, residual, separable, separable_file, set_channel, set_reads

SOURCE = read_tflite(separable_file("VALID", zero_point=-20, dead=-OUT_OF_REACH))


def good() -> Minimised:
    found = minimise(SOURCE)
    require_contract(SOURCE, found.graph, found.certificate)
    return found


def with_constant(graph: Graph, name: str, change: Callable[[np.ndarray], None]) -> Graph:
    """The graph with one constant changed."""
    tensor = graph.tensor(name)
    data = tensor.constant().copy()
    change(data)
    return replace(graph, tensors={**graph.tensors, name: replace(tensor, data=data)})


def with_entry(found: Certificate, name: str, entry: NarrowedTensor) -> Certificate:
    return Certificate(tuple(entry if tensor.name == name else tensor for tensor in found.tensors))


def flip_bit(data: np.ndarray) -> None:
    data.reshape(-1)[0] ^= 1


@pytest.mark.parametrize("name", ["a_w_of_a", "a_b_of_a", "b_w_of_b", "b_b_of_b", "y_w_of_y", "y_b_of_y"])
def test_another_weight_or_bias_is_refused(name: str) -> None:
    found = good()
    with pytest.raises(GraphError, match="minimisation"):
        require_contract(SOURCE, with_constant(found.graph, name, flip_bit), found.certificate)


def test_another_bias_of_an_output_that_never_changes_is_refused() -> None:
    """Its weights are 0: the bias alone makes the constant."""
    s = Sketch()
    s.act("x", (1, 2, 2, 3))
    s.act("a", (1, 2, 2, 4))
    s.conv("x", "a", 4)
    for channel in range(4):
        set_channel(s, "a", channel, 100 * channel)
    s.act("y", (1, 2, 2, 2))
    s.conv("a", "y", 2)
    source = read_tflite(s.file(("x",), ("y",)))
    found = minimise(source)
    require_contract(source, found.graph, found.certificate)
    assert not found.graph.tensor("y_w_of_y").constant().any()

    def add(bias: np.ndarray) -> None:
        bias[0] += 10_000

    with pytest.raises(GraphError, match="y: channel"):
        require_contract(source, with_constant(found.graph, "y_b_of_y", add), found.certificate)


def test_another_constant_is_refused() -> None:
    found = good()
    entry = found.certificate.by_name["a"]
    (first, *others) = entry.removed
    assert first.value == 127
    wrong = replace(entry, removed=(replace(first, value=126), *others))
    with pytest.raises(GraphError, match="not always 126"):
        require_contract(SOURCE, found.graph, with_entry(found.certificate, "a", wrong))


@pytest.mark.parametrize("name", ["a_w_of_a", "b_w_of_b", "y_w_of_y"])
def test_another_scale_is_refused(name: str) -> None:
    found = good()
    weights = found.graph.tensor(name)
    quantization = weights.quantization
    assert quantization is not None
    scales = (2 * quantization.scales[0], *quantization.scales[1:])
    changed = replace(weights, quantization=replace(quantization, scales=scales))
    graph = replace(found.graph, tensors={**found.graph.tensors, name: changed})
    with pytest.raises(GraphError, match="scales"):
        require_contract(SOURCE, graph, found.certificate)


def test_the_wrong_channel_is_refused() -> None:
    """The constant channel 1 stays and channel 2, which changes, goes."""
    found = good()
    entry = found.certificate.by_name["a"]
    swapped = replace(entry, removed=(RemovedChannel(2, None), *entry.removed[1:]))
    with pytest.raises(GraphError):
        require_contract(SOURCE, found.graph, with_entry(found.certificate, "a", swapped))


def test_a_channel_that_is_read_may_not_go() -> None:
    """Its least value is the zero point, so that no bias would show that it is missing."""
    s = separable()
    read = read_tflite(s.file(("x",), ("y",)))
    set_reads(s, "y", 3)
    unread = read_tflite(s.file(("x",), ("y",)))
    found = minimise(unread)
    assert 3 not in found.certificate.by_name["b"].kept
    require_contract(unread, found.graph, found.certificate)
    with pytest.raises(GraphError, match="y: channel"):
        require_contract(read, found.graph, found.certificate)


def test_elements_that_come_elsewhere_are_refused() -> None:
    s = Sketch()
    s.act("x", (1, 3, 3, 3))
    s.act("a", (1, 3, 3, 5))
    s.conv("x", "a", 5)
    set_channel(s, "a", 3, 800)
    s.op("GATHER", ("a", s.const("indices", [4, 0, 2, 4])), s.like("taken", "a", (1, 3, 3, 4)), axis=3)
    s.act("y", (1, 3, 3, 2))
    s.conv("taken", "y", 2)
    source = read_tflite(s.file(("x",), ("y",)))
    found = minimise(source)
    require_contract(source, found.graph, found.certificate)
    assert found.graph.ops[1].attrs == GatherAttrs(3, (2, 0, 1))  # the last is a copy of the first
    other = replace(found.graph.ops[1], attrs=GatherAttrs(3, (2, 1, 0)))
    graph = replace(found.graph, ops=(found.graph.ops[0], other, found.graph.ops[2]))
    with pytest.raises(GraphError, match="move the elements"):
        require_contract(source, graph, found.certificate)


def test_a_sum_of_other_channels_is_refused() -> None:
    """Channels 0, 1, 3 and 4 of one map with 0, 2, 3 and 4 of the other."""
    source = read_tflite(residual(both=True))
    found, bounds = minimise(source), graph_bounds(source)
    kept = kept_channels(source, bounds)
    kept["b"] = np.array([True, False, True, True, True])
    entry = replace(found.certificate.by_name["b"], removed=(RemovedChannel(1, None),))
    with pytest.raises(GraphError, match="channels of the result"):
        require_contract(source, narrowed(source, bounds, kept), with_entry(found.certificate, "b", entry))


def test_filters_over_other_channels_are_refused() -> None:
    source = read_tflite(separable_file())
    found, bounds = minimise(source), graph_bounds(source)
    kept = kept_channels(source, bounds)
    kept["b"] = np.array([False, True, True, True, False, True])
    entry = replace(found.certificate.by_name["b"], removed=(RemovedChannel(0, None), RemovedChannel(4, -128)))
    with pytest.raises(GraphError, match="all filters of the channels"):
        require_contract(source, narrowed(source, bounds, kept), with_entry(found.certificate, "b", entry))


def test_another_constant_operand_is_refused() -> None:
    s = Sketch()
    s.act("x", (1, 2, 2, 3))
    s.act("a", (1, 2, 2, 4))
    s.conv("x", "a", 4)
    set_channel(s, "a", 2, 700)
    s.act("added", (4,))
    s.tensors["added"] = replace(s.tensors["added"], data=np.arange(4, dtype=np.int8))
    s.op("ADD", ("a", "added"), s.act("sum", (1, 2, 2, 4)), fusedActivationFunction="NONE")
    s.act("y", (1, 2, 2, 2))
    s.conv("sum", "y", 2)
    source = read_tflite(s.file(("x",), ("y",)))
    found = minimise(source)
    require_contract(source, found.graph, found.certificate)
    assert found.graph.tensor("added_of_sum").constant().tolist() == [0, 1, 3]
    with pytest.raises(GraphError, match="channels of the result"):
        require_contract(source, with_constant(found.graph, "added_of_sum", flip_bit), found.certificate)


def test_a_tensor_that_stays_must_be_computed() -> None:
    found = good()
    graph = replace(found.graph, ops=tuple(op for op in found.graph.ops if op.output != "b"))
    with pytest.raises(GraphError, match="b keeps 4 channels and is not computed"):
        require_contract(SOURCE, graph, found.certificate)


def test_squares_of_values_that_may_be_equal_reach_zero() -> None:
    """Between two ends on both sides of a constant, where both squares are large."""
    s = Sketch()
    s.act("x", (1, 4), 0.05, 0)
    s.act("middle", (1, 4), 0.05, 0)
    s.tensors["middle"] = replace(s.tensors["middle"], data=np.full((1, 4), 3, np.int8))
    s.op("SQUARED_DIFFERENCE", ("x", "middle"), s.act("y", (1, 4), 0.5, -100))
    low, high = limits(read_tflite(s.file(("x",), ("y",))), Certificate())["y"]
    assert low.tolist() == [-100] * 4
    assert (high > -100).all()


@pytest.mark.parametrize("side", ["low", "high"])
def test_bounds_that_are_too_narrow_are_found(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the analysis: a channel that changes by a little is taken for a constant."""

    def too_narrow(graph: Graph) -> dict[str, Bounds]:
        bounds = graph_bounds(graph)
        return dict(bounds) | {name: narrowed(bounds[name]) for name in ("a", "b")}

    def narrowed(bounds: Bounds) -> Bounds:
        low, high = bounds.low.copy(), bounds.high.copy()
        low[2] = high[2] = low[2] if side == "low" else high[2]
        return replace(bounds, low=low, high=high)

    monkeypatch.setattr(module, "graph_bounds", too_narrow)
    with pytest.raises(GraphError, match=r"a\[2\] is .*, not always"):
        minimise(SOURCE)


def test_a_constant_that_is_folded_over_the_border_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the rule of borders: the sums at the border lack a part of what the bias then has."""
    source = read_tflite(separable_same_over_a_border())
    assert not minimise(source).certificate
    monkeypatch.setattr("flynet_tiny.codegen.minimise.channels.padded_taps", lambda op, graph: np.zeros(9, np.bool_))
    with pytest.raises(GraphError, match="constants folded"):
        minimise(source)


def separable_same_over_a_border() -> bytes:
    s = Sketch(3)
    s.act("x", (1, 5, 5, 3))
    s.act("a", (1, 5, 5, 4))
    s.conv("x", "a", 4)
    set_channel(s, "a", 1, 900)
    s.act("y", (1, 5, 5, 2))
    s.conv("a", "y", 2, 3, "SAME")
    return s.file(("x",), ("y",))


def test_a_residual_that_loses_channels_in_one_of_its_maps_is_refused() -> None:
    source = read_tflite(residual(both=True))
    found = minimise(source)
    less = Certificate(tuple(tensor for tensor in found.certificate.tensors if tensor.name != "b"))
    with pytest.raises(GraphError):
        require_contract(source, found.graph, less)
