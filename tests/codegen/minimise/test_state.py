"""Graphs with variables: what is known of a variable holds after a reset and after any number of inferences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.minimise.certificate import Certificate, StateInterval
from flynet_tiny.codegen.minimise.contract import require_contract
from flynet_tiny.codegen.minimise.intervals import graph_bounds
from flynet_tiny.codegen.minimise.minimise import Minimised, minimise
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import GraphError
from flynet_tiny.export.tflite_writer import TensorSpec
from flynet_tiny.verify.inputs import extreme_inputs

from ...judges import ReferenceJudge
from ...stateful_models import MODELS, StatefulSketch, drawn, rings
from .dead_channels import streaming

STEPS = 16


def with_one(channel: int, value: int) -> np.ndarray:
    start = np.full((1, 3, 2, 6), -128)
    start[0, 1, 1, channel] = value
    return start


def require_inside(graph: Graph, seed: int = 0) -> None:
    """Every value of sequences of inputs, resets between, lies in its bounds."""
    bounds, judge = graph_bounds(graph), ReferenceJudge(graph)
    for named in extreme_inputs(graph, STEPS, seed):
        if named.begins:
            judge.reset()
        for name, values in judge.run(named.values).items():
            low, high = bounds[name].of(values.shape[-1] if values.ndim else 1)
            assert (low <= values).all(), name
            assert (values <= high).all(), name


def require_same(source: Graph, found: Minimised) -> None:
    """The outputs and the variables of both graphs, step by step."""
    whole, narrow = ReferenceJudge(source), ReferenceJudge(found.graph)
    for named in extreme_inputs(source, STEPS):
        if named.begins:
            whole.reset()
            narrow.reset()
        left, right = whole.run(named.values), narrow.run(named.values)
        for name, values in left.items():
            if name not in found.certificate.by_name:
                assert name not in right or np.array_equal(values, right[name]), name
                continue
            known = found.certificate.known_channels(name, values.shape, right.get(name))
            assert known is None or np.array_equal(values[..., known[0]], known[1]), name


def minimised(data: bytes) -> Minimised:
    source = read_tflite(data)
    found = minimise(source)
    require_same(source, found)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_bounds_hold_for_each_model(name: str) -> None:
    graph = read_tflite(MODELS[name]())
    require_inside(graph)
    require_same(graph, minimise(graph))


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1 << 31), st.booleans())
def test_bounds_of_drawn_models_hold(seed: int, is_ring: bool) -> None:
    graph = read_tflite(rings(seed) if is_ring else drawn(seed))
    require_inside(graph, seed)
    require_same(graph, minimise(graph))


def test_a_channel_that_never_changes_goes_through_a_variable() -> None:
    found = minimised(streaming())
    entries = found.certificate.by_name
    wanted = ("a", "all", "b", "kept", "old")
    assert {name: entries[name].kept for name in wanted} == dict.fromkeys(wanted, (0, 2, 3, 5))
    (variable,) = found.graph.variables
    assert variable.start.shape == (1, 3, 2, 4)
    assert found.graph.tensor(variable.after).shape == (1, 3, 2, 4)


@pytest.mark.parametrize("channel", [1, 4])
def test_another_start_value_keeps_it(channel: int) -> None:
    """One element of the start is the only one that is not -128, for three steps."""
    found = minimised(streaming(with_one(channel, -100)))
    assert not {0, 2, 3, 5} - set(found.certificate.by_name["old"].kept)
    assert channel in found.certificate.by_name["old"].kept
    assert found.certificate.by_name["old"].kept == tuple(c for c in range(6) if c != 5 - channel)


def test_a_variable_whose_channel_nobody_reads_loses_it() -> None:
    found = minimised(streaming(unread=3))
    assert found.certificate.by_name["old"].kept == (0, 2, 5)


def test_a_variable_that_nothing_live_reads_goes() -> None:
    s = StatefulSketch()
    s.act("x", (1, 2, 2, 3))
    s.like("old", "x", (1, 2, 2, 3))
    s.begins("v", "old", 7)
    s.read("v", "old")
    s.op("ADD", ("old", "x"), s.like("sum", "x", (1, 2, 2, 3)), fusedActivationFunction="NONE")
    s.assign("v", "sum")
    s.act("y", (1, 2, 2, 2))
    s.conv("x", "y", 2)
    found = minimised(s.file())
    assert found.graph.variables == ()
    assert [op.output for op in found.graph.ops] == ["y"]


def test_a_value_that_grows_a_little_each_time_is_any_value() -> None:
    """v = v + 1 in an output of its own: after 255 steps it is at the end, far behind the plain turns."""
    s = StatefulSketch()
    s.act("x", (1, 4), 1.0, 0)
    s.like("old", "x", (1, 4))
    s.begins("v", "old", -128)
    s.read("v", "old")
    s.tensors["one"] = TensorSpec("one", (1, 4), "int8", (1.0,), (0,), data=np.ones((1, 4), np.int8))
    s.op("ADD", ("old", "one"), s.like("more", "x", (1, 4)), fusedActivationFunction="NONE")
    s.assign("v", "more")
    s.op("ADD", ("old", "x"), s.like("y", "x", (1, 4)), fusedActivationFunction="NONE")
    bounds = graph_bounds(read_tflite(s.file()))["old"]
    assert (bounds.low.min(), bounds.high.max()) == (-128, 127)


def test_the_contract_refuses_intervals_that_do_not_hold() -> None:
    source = read_tflite(streaming())
    found = minimise(source)
    (interval,) = found.certificate.state
    require_contract(source, found.graph, found.certificate)
    high = list(interval.high)
    high[0] -= 1
    for wrong in (replace(interval, high=tuple(high)), replace(interval, low=tuple(-127 for _ in high))):
        with pytest.raises(GraphError, match="leaves the interval"):
            require_contract(source, found.graph, replace(found.certificate, state=(wrong,)))
    with pytest.raises(GraphError, match="no variable"):
        require_contract(source, found.graph, replace(found.certificate, state=(StateInterval("a", (0,), (0,)),)))


def test_the_contract_refuses_another_start_and_more_channels() -> None:
    source = read_tflite(streaming())
    found = minimise(source)
    (variable,) = found.graph.variables
    start = variable.start.copy()
    start[0, 0, 0, 0] += 1
    graph = replace(found.graph, variables=(replace(variable, start=start),))
    with pytest.raises(GraphError, match="its start"):
        require_contract(source, graph, found.certificate)
    entries = tuple(entry for entry in found.certificate.tensors if entry.name != "old")
    with pytest.raises(GraphError):
        require_contract(source, found.graph, Certificate(entries, state=found.certificate.state))
