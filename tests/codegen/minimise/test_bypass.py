from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.ir import Graph, Op, OpKind, TransposeAttrs
from flynet_tiny.codegen.minimise.bypass import CANCEL, NEVER_BITES, TAKES_ALL, TWICE, bypass
from flynet_tiny.codegen.minimise.bypass_contract import require_bypass
from flynet_tiny.codegen.minimise.certificate import BypassedOperator
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import GraphError, verify_graph
from flynet_tiny.verify.inputs import extreme_inputs

from ...small_models import Sketch
from .dead_channels import clamp

SHAPE = (1, 4, 3, 5)


def ends(build: Callable[[Sketch], str]) -> Graph:
    """A convolution with RELU to `a` (at least the zero point, -100), what `build` makes of it, and a convolution to `y`."""
    s = Sketch()
    s.act("x", SHAPE)
    s.act("a", SHAPE, 0.03, -100)
    s.conv("x", "a", 5)
    clamp(s, "RELU")
    last = build(s)
    shape = (*s.tensors[last].shape[:3], 2)
    s.act("y", shape)
    s.conv(last, "y", 2)
    return read_tflite(s.file(("x",), ("y",)))


def bypassed(graph: Graph) -> tuple[Graph, list[tuple[str, str, str]]]:
    """The bypassed graph, which gives the same outputs, and what went."""
    found = bypass(graph)
    verify_graph(found.graph)
    for named in extreme_inputs(graph, 2):
        before, after = reference.run(graph, named.values), reference.run(found.graph, named.values)
        for entry in found.operators:
            assert np.array_equal(before[entry.name], before[entry.source])
        assert all(np.array_equal(before[name], values) for name, values in after.items())
    return found.graph, [(entry.name, entry.source, entry.why) for entry in found.operators]


def kinds(graph: Graph) -> list[OpKind]:
    return [op.kind for op in graph.ops]


def test_an_activation_that_never_bites_goes() -> None:
    graph, went = bypassed(ends(lambda s: s.op("RELU", ("a",), s.like("b", "a", SHAPE))))
    assert went == [("b", "a", NEVER_BITES)]
    assert kinds(graph) == [OpKind.CONV_2D, OpKind.CONV_2D]


def test_a_chain_of_them_goes_to_its_beginning() -> None:
    def two(s: Sketch) -> str:
        s.op("RELU", ("a",), s.like("b", "a", SHAPE))
        return s.op("RELU", ("b",), s.like("c", "a", SHAPE))

    assert bypassed(ends(two))[1] == [("b", "a", NEVER_BITES), ("c", "a", NEVER_BITES)]


@pytest.mark.parametrize("kind", ["RELU6", "LEAKY_RELU", "ABS"])
def test_an_activation_that_bites_or_another_scale_stays(kind: str) -> None:
    def of_input(s: Sketch) -> str:
        options = {"alpha": 0.5} if kind == "LEAKY_RELU" else {}
        return s.op(kind, ("x",), s.like("b", "x", SHAPE), **options)

    def to_a_finer_scale(s: Sketch) -> str:
        return s.op("QUANTIZE", ("a",), s.act("b", SHAPE, 0.029, -100))

    def to_another_zero_point(s: Sketch) -> str:
        return s.op("QUANTIZE", ("a",), s.act("b", SHAPE, 0.03, -99))

    for build in (of_input, to_a_finer_scale, to_another_zero_point):
        graph = ends(build)
        assert bypass(graph).graph is graph


def test_an_output_keeps_its_operator() -> None:
    s = Sketch()
    s.act("x", SHAPE)
    s.act("a", SHAPE, 0.03, -100)
    s.conv("x", "a", 5)
    clamp(s, "RELU")
    s.op("RELU", ("a",), s.like("y", "a", SHAPE))
    graph = read_tflite(s.file(("x",), ("y",)))
    assert bypass(graph).graph is graph


def test_transposes_that_cancel_go_and_others_become_one() -> None:
    def chain(second: list[int], shape: tuple[int, ...]) -> Callable[[Sketch], str]:
        def build(s: Sketch) -> str:
            s.op("TRANSPOSE", ("a", s.const("p", [0, 3, 1, 2])), s.like("b", "a", (1, 5, 4, 3)))
            return s.op("TRANSPOSE", ("b", s.const("q", second)), s.like("c", "a", shape))

        return build

    graph, went = bypassed(ends(chain([0, 2, 3, 1], SHAPE)))
    assert went == [("c", "a", CANCEL)]
    assert kinds(graph) == [OpKind.CONV_2D, OpKind.CONV_2D]
    graph, went = bypassed(ends(chain([0, 3, 2, 1], (1, 3, 4, 5))))
    assert went == []
    assert kinds(graph) == [OpKind.CONV_2D, OpKind.TRANSPOSE, OpKind.CONV_2D]
    assert graph.ops[1].attrs == TransposeAttrs((0, 2, 1, 3))


def test_transposes_that_cancel_but_for_a_step_of_the_scale_become_one() -> None:
    """Readers take the scale of what they read: a source of another scale does not stand in."""

    def build(s: Sketch) -> str:
        s.op("TRANSPOSE", ("a", s.const("p", [0, 3, 1, 2])), s.like("b", "a", (1, 5, 4, 3)))
        s.op("TRANSPOSE", ("b", s.const("q", [0, 2, 3, 1])), s.like("c", "a", SHAPE))
        scale = float(np.nextafter(np.float32(s.tensors["a"].scales[0]), np.float32(1)))
        s.tensors["c"] = replace(s.tensors["c"], scales=(scale,))
        return "c"

    graph, went = bypassed(ends(build))
    assert went == []
    assert graph.ops[1].attrs == TransposeAttrs((0, 1, 2, 3))
    assert graph.tensor("c").quantization != graph.tensor("a").quantization


def test_a_transpose_that_others_read_too_stays() -> None:
    def build(s: Sketch) -> str:
        s.op("TRANSPOSE", ("a", s.const("p", [0, 2, 1, 3])), s.like("b", "a", (1, 3, 4, 5)))
        s.op("TRANSPOSE", ("b", s.const("q", [0, 2, 1, 3])), s.like("c", "a", SHAPE))
        s.op("HARD_SWISH", ("b",), s.like("f", "a", (1, 3, 4, 5)))
        s.op("TRANSPOSE", ("f", "q"), s.like("d", "a", SHAPE))
        s.op("ADD", ("c", "d"), s.act("e", SHAPE), fusedActivationFunction="NONE")
        return "e"

    graph = ends(build)
    assert bypass(graph).graph is graph


def test_a_pool_of_single_pixels_goes_unless_it_clamps() -> None:
    def pool(activation: str) -> Callable[[Sketch], str]:
        def build(s: Sketch) -> str:
            return s.op(
                "MAX_POOL_2D", ("a",), s.like("b", "a", SHAPE), filterHeight=1, filterWidth=1, strideH=1, strideW=1,
                padding="VALID", fusedActivationFunction=activation,
            )  # fmt: skip

        return build

    assert bypassed(ends(pool("RELU")))[1] == [("b", "a", TAKES_ALL)]
    graph = ends(pool("RELU_N1_TO_1"))
    assert bypass(graph).graph is graph


def changed(graph: Graph, output: str, change: Callable[[Op], Op]) -> Graph:
    return replace(graph, ops=tuple(change(op) if op.output == output else op for op in graph.ops))


def test_the_contract_refuses_what_bites_and_what_moves() -> None:
    biting = ends(lambda s: s.op("RELU", ("x",), s.like("b", "x", SHAPE)))
    turned = ends(lambda s: s.op("TRANSPOSE", ("a", s.const("p", [0, 2, 1, 3])), s.like("b", "a", (1, 3, 4, 5))))
    for graph, source in ((biting, "x"), (turned, "a")):
        after = changed(graph, "y", lambda op, source=source: replace(op, inputs=(source, *op.inputs[1:])))  # type: ignore[misc]
        with pytest.raises(GraphError):
            require_bypass(graph, after, (BypassedOperator("b", source, "RELU", NEVER_BITES),))


def test_the_contract_refuses_an_output_that_nothing_makes() -> None:
    s = Sketch()
    s.act("x", SHAPE)
    s.act("a", SHAPE, 0.03, -100)
    s.conv("x", "a", 5)
    clamp(s, "RELU")
    s.op("RELU", ("a",), s.like("y", "a", SHAPE))
    graph = read_tflite(s.file(("x",), ("y",)))
    with pytest.raises(GraphError, match="y is not the same as a"):
        require_bypass(graph, replace(graph, ops=graph.ops[:1]), (BypassedOperator("y", "a", "RELU", NEVER_BITES),))


def test_the_contract_refuses_an_operator_that_reads_another_tensor() -> None:
    graph = ends(lambda s: s.op("RELU", ("a",), s.like("b", "a", SHAPE)))
    found = bypass(graph)
    after = changed(found.graph, "y", lambda op: replace(op, inputs=("x", *op.inputs[1:])))
    with pytest.raises(GraphError, match="bypassed around"):
        require_bypass(graph, after, found.operators)


def twins(second_bias: int = 0, activation: str = "NONE", outputs: tuple[str, ...] = ("y",)) -> Graph:
    """`b` and `c` are convolutions of `a` with the same weights, `y` their products behind a pool each."""
    s = Sketch()
    s.act("a", SHAPE)
    s.act("b", SHAPE, 0.04, 3)
    s.conv("a", "b", 5)
    s.like("c", "b", SHAPE)
    s.conv("a", "c", 5)
    clamp(s, activation)
    for part in "wb":
        s.tensors[f"c_{part}"] = replace(s.tensors[f"b_{part}"], name=f"c_{part}")
    bias = s.tensors["c_b"].data
    assert bias is not None
    s.tensors["c_b"] = replace(s.tensors["c_b"], data=bias + second_bias)
    for source in "bc":
        s.op(
            "MAX_POOL_2D", (source,), s.like(f"{source}_pool", "b", (1, 3, 2, 5)), filterHeight=2, filterWidth=2,
            strideH=1, strideW=1, padding="VALID", fusedActivationFunction="NONE",
        )  # fmt: skip
    s.op("MUL", ("b_pool", "c_pool"), s.act("y", (1, 3, 2, 5)), fusedActivationFunction="NONE")
    return read_tflite(s.file(("a",), outputs))


def test_what_is_computed_twice_is_computed_once() -> None:
    graph, went = bypassed(twins())
    assert went == [("c", "b", TWICE), ("c_pool", "b_pool", TWICE)]
    assert [(op.kind, op.inputs[0]) for op in graph.ops] == [
        (OpKind.CONV_2D, "a"), (OpKind.MAX_POOL_2D, "b"), (OpKind.MUL, "b_pool"),
    ]  # fmt: skip


def test_what_differs_a_little_is_computed_twice() -> None:
    for graph in (twins(second_bias=1), twins(activation="RELU")):
        assert bypass(graph).graph is graph
    shown = twins(outputs=("y", "c"))
    assert bypass(shown).graph is shown


def test_the_contract_refuses_twins_that_are_none() -> None:
    for graph in (twins(second_bias=1), twins(activation="RELU")):
        after = changed(graph, "c_pool", lambda op: replace(op, inputs=("b",)))
        with pytest.raises(GraphError, match="not made of"):
            require_bypass(graph, after, (BypassedOperator("c", "b", "CONV_2D", TWICE),))
