from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.ir import DType, Graph, Op, OpKind, Quantization, Tensor
from flynet_tiny.codegen.kernels.base import KernelCall, RowSchedule, SamePlace, Sharing, elementwise_schedule
from flynet_tiny.codegen.kernels.parameters import KernelParameters
from flynet_tiny.codegen.schedule.check_plan import PlanError, check_plan
from flynet_tiny.codegen.schedule.lifetimes import lifetimes
from flynet_tiny.codegen.schedule.plan_memory import MemoryPlan, _Problem, plan_memory

Program = tuple[Graph, list[KernelCall]]


def program(
    sizes: dict[str, int], steps: list[tuple[tuple[str, ...], str, int, dict[str, Sharing]]], outputs: tuple[str, ...]
) -> Program:
    """Calls over tensors of given sizes: (inputs, output, scratch bytes, sharing) each; the input is `x`."""
    q = Quantization((1.0,), (0,))
    tensors = {name: Tensor(name, (size,), DType.INT8, q) for name, size in sizes.items()}
    ops = tuple(Op(OpKind.MAXIMUM, inputs, (output,)) for inputs, output, _, _ in steps)
    calls = [
        KernelCall(KernelParameters(), inputs, (output,), scratch_bytes=scratch, sharing=sharing)
        for inputs, output, scratch, sharing in steps
    ]
    return Graph("g", tensors, ops, ("x",), outputs), calls


def planned(made: Program) -> MemoryPlan:
    graph, calls = made
    plan = plan_memory(lifetimes(graph, calls))
    check_plan(plan, graph, calls)
    return plan


def test_two_live_tensors_never_overlap_and_dead_ones_are_reused() -> None:
    made = program({"x": 100, "a": 60, "b": 50}, [(("x",), "a", 0, {}), (("a",), "b", 0, {})], ("b",))
    plan = planned(made)
    assert plan.lower_bound_bytes == 160
    assert plan.arena_bytes == 176  # 100 aligned to 112, and 60


def test_elementwise_output_takes_its_inputs_place() -> None:
    made = program({"x": 96, "y": 96}, [(("x",), "y", 0, {"x": elementwise_schedule(96)})], ("y",))
    assert planned(made).arena_bytes == 96


def test_same_place_is_taken_exactly_or_not_at_all() -> None:
    made = program({"x": 96, "y": 96}, [(("x",), "y", 32, {"x": SamePlace()})], ("y",))
    plan = planned(made)
    assert plan.arena_bytes == 128
    assert plan.tensor_offset("x") == plan.tensor_offset("y")


def test_no_sharing_when_the_input_lives_on() -> None:
    share = {"x": elementwise_schedule(96)}
    made = program({"x": 96, "a": 96, "y": 96}, [(("x",), "a", 0, share), (("a", "x"), "y", 0, {})], ("y",))
    assert planned(made).arena_bytes == 288


def test_no_sharing_when_one_buffer_is_read_twice() -> None:
    made = program({"x": 96, "y": 96}, [(("x", "x"), "y", 0, {"x": elementwise_schedule(96)})], ("y",))
    assert planned(made).arena_bytes == 192


def stem_schedule() -> RowSchedule:
    """3x3 stride 2 pad 1 on 224x224x3 -> 112x112x8: after output row r, input rows from 2r - 1 on may still be read in it."""
    return RowSchedule(tuple((r + 1) * 896 for r in range(112)), tuple(max(0, 2 * r - 1) * 672 for r in range(112)))


def test_stem_output_starts_below_its_input() -> None:
    made = program({"x": 150_528, "y": 100_352}, [(("x",), "y", 0, {"x": stem_schedule()})], ("y",))
    plan = planned(made)
    assert stem_schedule().min_distance_bytes == 1120
    assert plan.arena_bytes == 151_648
    assert plan.arena_bytes == plan.lower_bound_bytes


def test_an_output_from_the_end_ends_above_its_input() -> None:
    schedule = replace(stem_schedule(), from_end=True)
    graph, calls = program({"x": 150_528, "y": 100_352}, [(("x",), "y", 0, {"x": schedule})], ("y",))
    plan = planned((graph, calls))
    assert plan.offsets["x"] == 0
    assert plan.offsets["y"] + 100_352 == plan.arena_bytes == 150_528 + 1120
    moved = replace(plan, offsets={**plan.offsets, "y": plan.offsets["y"] - 16})
    with pytest.raises(PlanError, match="still to be read"):
        check_plan(moved, graph, calls)


def test_two_directions_need_less_room_than_one() -> None:
    """Down and down again, the outputs take room below the input twice; down and up, only once."""
    sizes = {"x": 1000, "a": 900, "y": 900}

    def arena(from_end: bool) -> int:
        first, second = RowSchedule((200, 900), (0, 1000)), RowSchedule((160, 900), (0, 900), from_end)
        return planned(program(sizes, [(("x",), "a", 0, {"x": first}), (("a",), "y", 0, {"a": second})], ("y",))).arena_bytes

    assert (arena(False), arena(True)) == (1376, 1216)


@pytest.mark.parametrize("shift", [16, 1120])
def test_checker_refuses_a_stem_that_starts_too_high(shift: int) -> None:
    graph, calls = program({"x": 150_528, "y": 100_352}, [(("x",), "y", 0, {"x": stem_schedule()})], ("y",))
    plan = plan_memory(lifetimes(graph, calls))
    moved = replace(plan, offsets={**plan.offsets, "y": plan.offsets["y"] + shift})
    with pytest.raises(PlanError, match="still to be read"):
        check_plan(moved, graph, calls)


def test_checker_refuses_overlaps_of_every_kind() -> None:
    steps: list[tuple[tuple[str, ...], str, int, dict[str, Sharing]]] = [(("x",), "a", 16, {}), (("a", "x"), "y", 0, {})]
    graph, calls = program({"x": 64, "a": 64, "y": 64}, steps, ("y",))
    plan = plan_memory(lifetimes(graph, calls))
    check_plan(plan, graph, calls)
    for name in ("a", "scratch:0", "y"):
        for victim in ("x", "a"):
            if name != victim:
                moved = replace(plan, offsets={**plan.offsets, name: plan.offsets[victim]})
                with pytest.raises(PlanError):
                    check_plan(moved, graph, calls)
    with pytest.raises(PlanError, match="leaves the arena"):
        check_plan(replace(plan, arena_bytes=plan.arena_bytes - 16), graph, calls)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    sizes = {"x": draw(st.integers(1, 200))}
    steps = []
    for i in range(draw(st.integers(1, 12))):
        inputs = tuple(draw(st.lists(st.sampled_from(sorted(sizes)), min_size=1, max_size=3)))
        name = f"t{i}"
        sizes[name] = draw(st.integers(1, 200))
        sharing: dict[str, Sharing] = {}
        for source in set(inputs):
            kind = draw(st.sampled_from(["no", "row", "same"]))
            if kind == "same" and sizes[source] == sizes[name]:
                sharing[source] = SamePlace()
            if kind == "row":
                written = sorted(draw(st.lists(st.integers(0, sizes[name]), min_size=3, max_size=3)))
                read = sorted(draw(st.lists(st.integers(0, sizes[source]), min_size=3, max_size=3)))
                sharing[source] = RowSchedule((*written, sizes[name]), (*read, sizes[source]), draw(st.booleans()))
        steps.append((inputs, name, draw(st.sampled_from([0, 0, 8, 50])), sharing))
    outputs = tuple(draw(st.sets(st.sampled_from([s[1] for s in steps]), min_size=1)))
    return program(sizes, steps, tuple(sorted(outputs)))


@settings(deadline=None, max_examples=60)
@given(programs())
def test_every_plan_is_proven_by_the_checker(made: Program) -> None:
    plan = planned(made)
    assert plan.arena_bytes % 16 == 0
    assert plan.arena_bytes >= plan.lower_bound_bytes
    assert plan.offsets == planned(made).offsets


@settings(max_examples=50, deadline=None)
@given(programs())
def test_a_placement_is_given_up_at_its_limit_and_not_before(made: Program) -> None:
    found = lifetimes(*made)
    problem = _Problem(found.buffers, found.sharable)
    placed = problem.place(found.buffers)
    assert placed is not None
    assert problem.place(found.buffers, placed.size_bytes) == placed
    assert problem.place(found.buffers, placed.size_bytes - 1) is None
