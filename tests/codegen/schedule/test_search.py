"""Operators come in the order with the least crowded moment; row bands are taken where they save memory, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import BALANCED, DEFAULT_BUILD, MEMORY, SPEED, build_for, build_named
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.kernels.base import KernelCall, RowSchedule, SamePlace
from flynet_tiny.codegen.passes.pipeline import run_passes
from flynet_tiny.codegen.reference import run
from flynet_tiny.codegen.schedule.check_plan import check_plan
from flynet_tiny.codegen.schedule.lifetimes import lifetimes
from flynet_tiny.codegen.schedule.order import _bits, _Problem, best_order
from flynet_tiny.codegen.schedule.plan_memory import plan_memory
from flynet_tiny.codegen.schedule.search import schedule
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import verify_graph
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite
from flynet_tiny.verify.host_c import HostLibrary

from ...small_models import Sketch, attention_block
from .test_plan_memory import Program, program


def by_output(made: Program) -> tuple[Graph, dict[str, KernelCall]]:
    graph, calls = made
    return graph, {call.outputs[0]: call for call in calls}


def test_what_frees_a_large_tensor_comes_first() -> None:
    """`a` and `b` both read the large `x`; doing both before anything else grows lets it go."""
    sizes = {"x": 1000, "a": 100, "big": 900, "c": 10, "b": 10, "y": 10}
    steps = [
        (("x",), "a", 0, {}),
        (("a",), "big", 0, {}),
        (("big",), "c", 0, {}),
        (("x",), "b", 0, {}),
        (("b", "c"), "y", 0, {}),
    ]
    order = best_order(*by_output(program(sizes, steps, ("y",))))
    assert [op.output for op in order.ops] == ["a", "b", "big", "c", "y"]
    assert order.peak_bytes == 1110


def test_an_order_that_cannot_be_bettered_stays() -> None:
    sizes = dict.fromkeys(("x", "a", "b", "y"), 100)
    steps = [(("x",), "a", 0, {}), (("x",), "b", 0, {}), (("a", "b"), "y", 0, {})]
    assert [op.output for op in best_order(*by_output(program(sizes, steps, ("y",)))).ops] == ["a", "b", "y"]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Up to six operators with one or two inputs each, some sharing memory with them."""
    count = draw(st.integers(1, 6))
    names = ["x", *(f"t{i}" for i in range(count))]
    sizes = {name: draw(st.integers(1, 40)) for name in names}
    steps = []
    for index in range(1, count + 1):
        inputs = tuple(draw(st.lists(st.sampled_from(names[:index]), min_size=1, max_size=2, unique=True)))
        kind = draw(st.integers(0, 3))
        size, source = sizes[names[index]], sizes[inputs[0]]
        sharing = {1: SamePlace(), 2: RowSchedule((size,), (draw(st.integers(0, source)),))}.get(kind)
        steps.append((inputs, names[index], draw(st.integers(0, 8)), {inputs[0]: sharing} if sharing else {}))
    return program(sizes, steps, (names[-1],))


@settings(max_examples=150, deadline=None)
@given(programs())
def test_no_order_has_a_less_crowded_peak(made: Program) -> None:
    graph, calls = by_output(made)
    problem = _Problem(graph, calls)
    peaks = []
    for order in permutations(range(len(problem.ops))):
        state, there = problem.start(), set(graph.inputs)
        for index in order:
            ready = [i for i, op in enumerate(problem.ops) if op.output not in there and there.issuperset(op.inputs)]
            assert list(_bits(state.ready)) == ready
            if index not in ready:
                break
            state = problem.after(state, index)
            there.add(problem.ops[index].output)
        else:
            peaks.append(state.peak_bytes)
    found = best_order(graph, calls)
    assert found.peak_bytes == min(peaks)
    ordered = replace(graph, ops=found.ops)
    plan = plan_memory(lifetimes(ordered, [calls[op.output] for op in found.ops]))
    check_plan(plan, ordered, [calls[op.output] for op in found.ops])
    assert plan.lower_bound_bytes <= found.peak_bytes, "the planner may share with two inputs at once, the search does not"


def int8(name: str, shape: tuple[int, ...], scale: float = 0.05) -> TensorSpec:
    return TensorSpec(name, shape, "int8", (scale,), (3,))


def two_branches(size: int) -> bytes:
    """A map widened by a multihead convolution, and a residual that reads the map last: as FlyNet's blocks, in small."""
    rng = np.random.default_rng(0)
    half = size // 2
    tensors = [int8("x", (1, size, size, 8))]
    ops = []

    def convolution(
        opcode: str, source: str, output: str, weights: tuple[int, ...], shape: tuple[int, ...], **options: object
    ) -> None:
        axis = 3 if opcode == "DEPTHWISE_CONV_2D" else 0
        channels = weights[axis]
        scales = (0.01,) * channels
        data = rng.integers(-127, 128, weights).astype(np.int8)
        bias = rng.integers(-500, 500, channels).astype(np.int32)
        tensors.append(TensorSpec(f"{output}w", weights, "int8", scales, (0,) * channels, axis, data))
        tensors.append(TensorSpec(f"{output}b", (channels,), "int32", scales, (0,) * channels, 0, bias))
        tensors.append(int8(output, shape, 0.4))
        ops.append(OpSpec(opcode, (source, f"{output}w", f"{output}b"), (output,), {"padding": "SAME", **options}))

    wide = {"strideH": 2, "strideW": 2, "depthMultiplier": 3}
    convolution("DEPTHWISE_CONV_2D", "x", "maps", (1, 3, 3, 24), (1, half, half, 24), **wide)
    convolution("CONV_2D", "maps", "mixed", (8, 1, 1, 24), (1, half, half, 8), strideH=1, strideW=1)
    convolution("DEPTHWISE_CONV_2D", "x", "kept", (1, 5, 5, 8), (1, half, half, 8), **{**wide, "depthMultiplier": 1})
    tensors.append(int8("y", (1, half, half, 8), 0.5))
    ops.append(OpSpec("ADD", ("mixed", "kept"), ("y",)))
    return write_tflite(ModelSpec(tuple(tensors), tuple(ops), ("x",), ("y",)))


def test_the_schedule_computes_the_same_and_needs_less() -> None:
    data = two_branches(64)
    graph = run_passes(read_tflite(data))
    made = schedule(graph, DEFAULT_BUILD)
    verify_graph(made.graph)
    assert sorted(op.output for op in made.ops) == sorted(op.output for op in graph.ops)
    inputs = {"x": np.random.default_rng(1).integers(-128, 128, graph.tensor("x").shape).astype(np.int8)}
    before, after = run(graph, inputs), run(made.graph, inputs)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    as_it_came = plan_memory(lifetimes(graph, schedule(graph, build_for(None, SPEED)).calls))
    assert made.plan.arena_bytes < as_it_came.arena_bytes


def banded(data: bytes, level: str) -> list[str]:
    compiled = compile_tflite(data, "net", build_named(level=level))
    return [call.outputs[0] for call in compiled.calls if call.is_banded]


@pytest.mark.parametrize(("size", "level", "expected"), [(64, "balanced", ["maps"]), (64, "speed", []), (16, "balanced", [])])
def test_bands_are_for_large_maps_and_not_for_speed(size: int, level: str, expected: list[str]) -> None:
    assert banded(two_branches(size), level) == expected


def test_a_block_of_flynet_needs_little_more_than_its_heads_and_its_input() -> None:
    """The multihead convolution writes behind its input, Max-out behind the heads; neither alone would help."""
    data = attention_block(48, 48)
    compiled = compile_tflite(data, "net")
    by_kind = {op.kind_name: call for op, call in zip(compiled.ops, compiled.calls, strict=True)}
    assert by_kind["MUL+REDUCE_MAX"].is_banded
    (multihead,) = (call for name, call in by_kind.items() if "DEPTHWISE" in name)
    assert multihead.is_banded
    graph = compiled.source_graph
    one_map = graph.tensor("x").size_bytes
    assert compiled.library.arena_bytes < (3 + 1 + 0.3) * one_map
    assert compile_tflite(data, "net", build_for(None, SPEED)).library.arena_bytes > (3 + 1 + 1) * one_map
    inputs = {"x": np.random.default_rng(1).integers(-128, 128, graph.tensor("x").shape).astype(np.int8)}
    with HostLibrary(compiled.library) as host:
        (found,) = host.run_many([inputs], trace=False)
    assert np.array_equal(found.outputs["y"].reshape(-1), run(graph, inputs)["y"].reshape(-1))


def test_one_of_two_operators_that_follow_each_other_goes_the_other_way() -> None:
    """Each output below its input, the first input would lie above room for both; the second from its end needs none there."""
    s = Sketch()
    s.act("x", (1, 96, 96, 3))
    s.act("stem", (1, 48, 48, 8))
    s.conv("x", "stem", 8, 3, "SAME", 2)
    s.act("y", (1, 24, 24, 24))
    s.depthwise("stem", "y", 3, 3, "SAME", 2)
    data = s.file(("x",), ("y",))
    made = schedule(run_passes(read_tflite(data)), DEFAULT_BUILD)
    (stem, multihead) = made.calls
    assert multihead.parameters.from_end
    x, room = made.graph.tensor("x").size_bytes, next(iter(stem.sharing.values()))
    assert isinstance(room, RowSchedule)
    assert x + room.min_distance_bytes <= made.plan.arena_bytes < x + room.min_distance_bytes + stem.scratch_bytes + 64


def test_every_kind_of_operator_is_found_in_the_arranged_graph() -> None:
    """Free operators follow their inputs, wherever these went."""
    tensors = (int8("x", (1, 4)), int8("a", (4, 1)), int8("b", (2, 2)), int8("y", (4,)))
    shapes = {"a": (4, 1), "b": (2, 2), "y": (4,)}
    ops = [OpSpec("RESHAPE", (s,), (t,), {"newShape": shapes[t]}) for s, t in (("x", "a"), ("a", "b"))]
    relu = OpSpec("RELU", ("b",), ("y0",))
    last = OpSpec("RESHAPE", ("y0",), ("y",), {"newShape": (4,)})
    spec = ModelSpec((*tensors, int8("y0", (2, 2))), (*ops, relu, last), ("x",), ("y",))
    made = schedule(read_tflite(write_tflite(spec)), DEFAULT_BUILD)
    assert [op.kind for op in made.graph.ops] == [OpKind.RESHAPE, OpKind.RESHAPE, OpKind.RELU, OpKind.RESHAPE]


def dense_chain(*widths: int) -> Graph:
    """FULLY_CONNECTED layers of one row, as an autoencoder has them."""
    s = Sketch()
    rng = np.random.default_rng(0)
    s.act("x0", (1, widths[0]))
    for i, (c_in, c_out) in enumerate(pairwise(widths)):
        weights = rng.integers(-127, 128, (c_out, c_in)).astype(np.int8)
        s.tensors[f"w{i}"] = TensorSpec(f"w{i}", weights.shape, "int8", (0.01,), (0,), None, weights)
        s.act(f"x{i + 1}", (1, c_out))
        s.op("FULLY_CONNECTED", (f"x{i}", f"w{i}"), f"x{i + 1}", fusedActivationFunction="NONE")
    return run_passes(read_tflite(s.file(("x0",), (f"x{len(widths) - 1}",))))


def test_rows_are_read_in_place_only_where_the_arena_is_smaller_for_it() -> None:
    graph = dense_chain(640, 128, 16, 128, 640)
    balanced, memory = (schedule(graph, build_for(None, level)) for level in (BALANCED, MEMORY))
    assert balanced.plan.arena_bytes == 640 + 2 * 640
    assert memory.plan.arena_bytes == 640 + 128
    check_plan(memory.plan, memory.graph, memory.calls)
    assert [call.scratch_bytes > 0 for call in memory.calls] == [False, True, True, False]
