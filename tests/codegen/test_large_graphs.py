"""Graphs of thousands of operators: no recursion, no step that looks at all pairs, the same bytes."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.passes.pipeline import run_passes
from flynet_tiny.codegen.reference import run
from flynet_tiny.codegen.schedule import order, search
from flynet_tiny.codegen.schedule.check_plan import check_plan
from flynet_tiny.codegen.schedule.lifetimes import Buffer, Lifetimes, is_free, lifetimes, views, views_of
from flynet_tiny.codegen.schedule.order import best_order
from flynet_tiny.codegen.schedule.plan_memory import _meeting, lower_bound_bytes
from flynet_tiny.codegen.schedule.search import schedule
from flynet_tiny.codegen.text import format_graph, format_plan
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import verify_graph
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.onnx_twin import OnnxTwin

from .. import large_graphs
from ..large_graphs import KINDS

OPERATORS = 2000


def noise(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.integers(-128, 128, graph.tensor(name).shape).astype(np.int8) for name in graph.inputs}


@pytest.mark.parametrize("kind", ["reshape_chain", "tangle", "heads"])
def test_the_c_of_a_large_graph_is_exact(kind: str) -> None:
    model = KINDS[kind](OPERATORS if kind.startswith("reshape") else 60)
    compiled = compile_tflite(model, "net", replace(DEFAULT_BUILD, minimise=False))
    graph = compiled.source_graph
    inputs = noise(graph)
    expected = run(graph, inputs)
    with HostLibrary(compiled.library) as host:
        (found,) = host.run_many([inputs])
    traced = {name: values for name, values in found.tensors.items() if name in graph.tensors}
    assert set(graph.outputs) <= set(traced)
    assert kind == "heads" or len(traced) == sum(len(op.outputs) for op in graph.ops) + len(graph.inputs)
    assert all(np.array_equal(values, expected[name].reshape(-1)) for name, values in traced.items())


def test_the_golden_twin_and_the_listings_of_a_chain_of_thousands() -> None:
    compiled = compile_tflite(KINDS["reshape_chain"](OPERATORS), "net")
    graph = compiled.source_graph
    inputs = noise(graph)
    expected, found = run(graph, inputs), OnnxTwin(graph).run(inputs)
    assert all(np.array_equal(values, expected[name]) for name, values in found.items())
    assert len(format_graph(graph).splitlines()) == OPERATORS + 3
    assert "call  kernel" in format_plan(compiled)


@pytest.mark.parametrize("kind", ["padded_convs"])
def test_two_thousand_operators_compile_in_less_than_a_minute(kind: str, tmp_path: Path) -> None:
    compile_in_child(kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_two_thousand_operators_of_every_kind_compile_in_less_than_a_minute(kind: str, tmp_path: Path) -> None:
    compile_in_child(kind, tmp_path)


def compile_in_child(kind: str, folder: Path) -> None:
    """Through the command line, down to the C; a minute of the processor's time, however busy the machine is, and 1 GB."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))

    model = folder / "net.tflite"
    model.write_bytes(KINDS[kind](OPERATORS))
    command = [sys.executable, "-m", "flynet_tiny.cli", "compile", str(model), "--target", "stm32h7a3", "--emit", "c"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, preexec_fn=limit)
    assert made.returncode == 0, made.stderr[-500:]
    assert "int net_invoke(" in made.stdout


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_search_that_ends_early_still_gives_a_valid_order_and_no_larger_arena(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = run_passes(read_tflite(KINDS[kind](60 if kind != "branches" else 150)))
    monkeypatch.setattr(order, "ORDER_STEPS", 60)
    monkeypatch.setattr(search, "SEARCH_STEPS", 0)
    made = schedule(graph, DEFAULT_BUILD)
    verify_graph(made.graph)
    check_plan(made.plan, made.graph, made.calls)
    as_it_came = replace(made, graph=graph)
    calls = [select(op, graph, DEFAULT_BUILD) for op in graph.ops if not is_free(op.kind)]
    assert made.plan.lower_bound_bytes <= lower_bound_bytes(lifetimes(as_it_came.graph, calls))


def test_of_many_ready_operators_the_readers_of_the_last_are_tried() -> None:
    """All activations first would keep half of the maps alive; each sum as soon as it can be made needs three."""
    graph = run_passes(read_tflite(large_graphs.fan_out(600)))
    calls = {op.output: select(op, graph, DEFAULT_BUILD) for op in graph.ops}
    one_map = graph.tensor("x").size_bytes
    assert best_order(graph, calls).peak_bytes == 3 * one_map


@st.composite
def buffers(draw: st.DrawFn) -> list[Buffer]:
    spans = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 50)), max_size=15))
    return [Buffer(f"b{i}", size, min(a, b), max(a, b)) for i, (a, b, size) in enumerate(spans)]


@settings(deadline=None)
@given(buffers())
def test_buffers_meet_that_are_live_together(made: list[Buffer]) -> None:
    def meets(a: Buffer, b: Buffer) -> bool:
        return a is not b and a.first <= b.last and b.first <= a.last

    found = _meeting(made)
    for buffer in made:
        assert sorted(found[buffer.name]) == sorted((b.name, b.size_bytes) for b in made if meets(buffer, b))
    at_once = max((sum(b.size_bytes for b in made if b.first <= t <= b.last) for t in range(13)), default=0)
    assert lower_bound_bytes(Lifetimes(tuple(made), {}, ())) == at_once


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(["reshape_fan", "reshape_chain", "tangle"]), st.integers(4, 40))
def test_views_follow_their_source_depth_first(kind: str, count: int) -> None:
    graph = read_tflite(KINDS[kind](count))
    root, shown = views(graph), views_of(graph)
    assert sorted(op.output for ops in shown.values() for op in ops) == sorted(root)
    for source, ops in shown.items():
        assert all(root[op.output] == source for op in ops)
        there = {source}
        for op in ops:
            assert op.inputs[0] in there
            there.add(op.output)
        for before, after in pairwise(ops):
            deeper = any(op.inputs[0] == before.output for op in ops)
            assert not deeper or after.inputs[0] == before.output
