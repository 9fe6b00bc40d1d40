"""Variables in the memory plan: bytes of their own for ever, assignments in place where that is exact."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.compiler import Compiled, compile_tflite
from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.passes.pipeline import run_passes
from flynet_tiny.codegen.schedule.check_plan import PlanError, check_plan
from flynet_tiny.codegen.schedule.lifetimes import is_free
from flynet_tiny.codegen.schedule.order import best_order
from flynet_tiny.codegen.schedule.variables import settle_variables
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import GraphError, verify_graph

from ...stateful_models import MODELS, StatefulSketch, accumulator, delay, drawn, read_again, ring, rings, swap


def kinds(compiled: Compiled) -> list[OpKind]:
    return [op.kind for op in compiled.ops]


def copies(compiled: Compiled) -> int:
    return sum(kind in (OpKind.READ_VARIABLE, OpKind.ASSIGN_VARIABLE) for kind in kinds(compiled))


def test_the_kept_rows_of_a_ring_are_written_where_the_variable_lies() -> None:
    made = compile_tflite(ring(), "net")
    assert kinds(made) == [OpKind.CONCATENATION, OpKind.STRIDED_SLICE, OpKind.DEPTHWISE_CONV_2D]
    assert made.plan.tensor_offset("kept") == made.plan.tensor_offset("old")


def test_the_rows_of_a_ring_are_not_moved_where_that_costs_no_memory() -> None:
    """24 rows and one more: the concatenation moves one row, its reader comes before the rows are moved up."""
    made = compile_tflite(ring(24, 1, 16, is_mean=True), "net")
    assert kinds(made) == [OpKind.CONCATENATION, OpKind.MEAN, OpKind.STRIDED_SLICE]
    (variable,) = made.graph.variables
    assert variable.around == "all"
    assert {made.plan.tensor_offset(name) for name in ("old", "all", "kept")} == {0}
    assert made.plan.state_bytes == 25 * 16
    assert made.calls[0].parameters.sources == (-2, 1)  # type: ignore[attr-defined]
    small = compile_tflite(ring(1, 3, 8, new=4), "net")
    assert small.graph.variables[0].around is None, "the four new rows would be kept for nothing"


def test_the_checker_holds_a_ring_to_its_place() -> None:
    made = compile_tflite(ring(24, 1, 16, is_mean=True), "net")
    with pytest.raises(PlanError, match="x overwrites variable old"):
        _moved(made, "x", 24 * 16)
    lifetimes = replace(made.plan.lifetimes, buffer_of={**made.plan.lifetimes.buffer_of, "all": "all"})
    plan = replace(made.plan, lifetimes=lifetimes, offsets={**made.plan.offsets, "all": 1024}, arena_bytes=2048)
    with pytest.raises(PlanError, match="old must lie where all begins"):
        check_plan(plan, made.graph, made.calls)


def test_a_sum_is_computed_where_it_lies() -> None:
    made = compile_tflite(accumulator(), "net")
    assert kinds(made) == [OpKind.ADD]
    assert made.plan.tensor_offset("y") == made.plan.tensor_offset("old")


def test_a_first_value_that_is_still_needed_is_copied() -> None:
    made = compile_tflite(delay(), "net")
    assert kinds(made) == [OpKind.READ_VARIABLE, OpKind.ASSIGN_VARIABLE]
    made = compile_tflite(swap(), "net")
    assert copies(made) == 3, "one of the two copies of first values is written in place"


def test_a_reader_behind_the_assignment_in_the_file_comes_before_it() -> None:
    """The variable's first value is read by the SUB, which needs what is assigned: the assignment must copy, at the end."""
    made = compile_tflite(read_again(), "net")
    assert kinds(made).count(OpKind.ASSIGN_VARIABLE) == 1
    assert kinds(made).index(OpKind.ASSIGN_VARIABLE) > kinds(made).index(OpKind.SUB)


def test_a_value_of_two_variables_is_written_in_one_and_copied_to_the_other() -> None:
    s = StatefulSketch()
    shape = (1, 4, 6)
    s.act("x", shape)
    for name in ("a", "b"):
        s.begins(name, "x")
        s.read(name, s.like(f"old_{name}", "x", shape))
    s.op("SUB", ("old_b", "old_a"), s.like("change", "x", shape), fusedActivationFunction="NONE")
    s.op("ADD", ("change", "x"), s.like("new", "x", shape), fusedActivationFunction="NONE")
    s.assign("a", "new")
    s.assign("b", "new")
    s.op("LOGISTIC", ("new",), s.act("y", shape, 1 / 256, -128))
    made = compile_tflite(s.file(), "net")
    assert copies(made) == 1
    assert made.plan.state_bytes == 2 * 32


@pytest.mark.parametrize("name", sorted(MODELS))
def test_variables_lie_at_the_begin_of_the_arena_and_nothing_else_does(name: str) -> None:
    made = compile_tflite(MODELS[name](), "net")
    plan, variables = made.plan, {buffer.name for buffer in made.plan.lifetimes.variables}
    assert len(variables) == len(made.graph.variables) > 0
    for buffer in plan.lifetimes.buffers:
        offset = plan.offsets[buffer.name]
        if buffer.name in variables:
            assert offset + buffer.size_bytes <= plan.state_bytes
            assert (buffer.first, buffer.last) == (-1, len(made.calls))
        else:
            assert offset >= plan.state_bytes
    assert made.library.state_bytes == plan.state_bytes


def test_the_search_keeps_readers_before_whoever_overwrites() -> None:
    for seed in range(40):
        data = rings(seed) if seed % 4 == 0 else drawn(seed)
        graph = settle_variables(run_passes(read_tflite(data)), DEFAULT_BUILD)[-1]
        calls = {op.output: select(op, graph, DEFAULT_BUILD) for op in graph.ops if not is_free(op.kind)}
        order = best_order(graph, calls).ops
        assert {op.output for op in order} == set(calls)
        place = {op.output: i for i, op in enumerate(order)}
        shown = {op.output: op.inputs[0] for op in graph.ops if is_free(op.kind)}

        def root(name: str, shown: dict[str, str] = shown) -> str:
            return root(shown[name], shown) if name in shown else name

        for variable in graph.variables:
            writer = place.get(root(variable.after), -1)
            ahead = {variable.before, variable.around}
            readers = [place[op.output] for op in order if ahead & set(map(root, op.inputs))]
            assert all(reader <= writer for reader in readers) or writer < 0


def _plan_of(data: bytes) -> Compiled:
    return compile_tflite(data, "net")


def _moved(made: Compiled, name: str, offset: int) -> None:
    offsets = {**made.plan.offsets, name: offset}
    check_plan(replace(made.plan, offsets=offsets, arena_bytes=made.plan.arena_bytes + 4096), made.graph, made.calls)


def test_the_checker_finds_whatever_lies_in_a_variable() -> None:
    made = _plan_of(ring())
    check_plan(made.plan, made.graph, made.calls)
    with pytest.raises(PlanError, match="variable old"):
        _moved(made, "all", 0)
    with pytest.raises(PlanError, match=r"overlap|overwrites variable"):
        _moved(made, "x", 0)
    with pytest.raises(PlanError, match="beyond the"):
        _moved(made, "old", made.plan.arena_bytes)


def test_the_checker_finds_a_next_value_that_lies_elsewhere() -> None:
    made = _plan_of(ring())
    lifetimes = replace(made.plan.lifetimes, buffer_of={**made.plan.lifetimes.buffer_of, "kept": "kept"})
    offsets = {**made.plan.offsets, "kept": made.plan.arena_bytes}
    plan = replace(made.plan, lifetimes=lifetimes, offsets=offsets, arena_bytes=made.plan.arena_bytes + 4096)
    with pytest.raises(PlanError, match="does not have its next value"):
        check_plan(plan, made.graph, made.calls)


def test_the_checker_finds_a_reader_behind_the_assignment() -> None:
    made = _plan_of(read_again())
    last = next(i for i, op in enumerate(made.ops) if op.kind is OpKind.ASSIGN_VARIABLE)
    calls = (made.calls[last], *made.calls[:last], *made.calls[last + 1 :])
    with pytest.raises(PlanError):
        check_plan(made.plan, made.graph, calls)


def _changed(graph: Graph, **fields: object) -> Graph:
    (variable,) = graph.variables
    return replace(graph, variables=(replace(variable, **fields),))


def test_the_verifier_knows_variables() -> None:
    graph = read_tflite(ring())
    verify_graph(graph)
    (variable,) = graph.variables
    for broken, message in (
        (_changed(graph, before="x"), "another's, or a graph input"),
        (_changed(graph, before="all"), "shapes"),
        (_changed(graph, after="nowhere"), "is not an activation"),
        (_changed(graph, after="all"), "shapes"),
        (_changed(graph, start=variable.start[:, :2]), "it starts with"),
        (_changed(graph, start=variable.start.astype("int16")), "it starts with int16"),
        (replace(graph, variables=(variable, replace(variable, before="kept"))), "two variables"),
        (replace(graph, ops=graph.ops[:-1]), "is never written"),
    ):
        with pytest.raises(GraphError, match=message):
            verify_graph(broken)
