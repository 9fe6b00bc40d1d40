"""Rules of the graph verifier that a fused operator could slip by, and what passes must not make."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flynet_tiny.codegen.contracts import CONTRACTS, broken_clause
from flynet_tiny.codegen.ir import ClampAttrs, FusedAttrs, FusedPattern, Graph, NoAttrs, Op, OpKind
from flynet_tiny.codegen.passes.fuse_channel_scales import fuse_mul_depthwise
from flynet_tiny.codegen.passes.fuse_mean_variance import fuse_mean_variance
from flynet_tiny.codegen.passes.fuse_shift_max import fuse_shift_max
from flynet_tiny.codegen.verify_graph import GraphError, verify_graph

from .passes.near_misses import Sizes, draw

SIZES = Sizes(3, 4, 5, 2)


def gated() -> Graph:
    return verify_graph(fuse_mul_depthwise(draw("MUL_DEPTHWISE", "the chain", SIZES, 0)))


def with_op(graph: Graph, op: Op) -> Graph:
    return replace(graph, ops=(op, *graph.ops[1:]))


def test_every_pattern_has_a_contract_that_says_what_it_is() -> None:
    assert set(CONTRACTS) == set(FusedPattern)
    for pattern, contract in CONTRACTS.items():
        assert (contract.__doc__ or "").startswith(f"{pattern.value}: ")


def test_a_tensor_is_inside_of_one_operator_only() -> None:
    """The second operator computes the gated maps once more, into the same inner tensor."""
    graph = gated()
    (fused,) = graph.ops
    mul, conv = fused.attrs.body  # type: ignore[union-attr]
    again = replace(graph.tensor(conv.output), name="z")
    other = replace(fused, outputs=("z",), attrs=FusedAttrs(FusedPattern.MUL_DEPTHWISE, (mul, replace(conv, outputs=("z",)))))
    twice = replace(graph, ops=(fused, other), tensors={**graph.tensors, "z": again}, outputs=("y", "z"))
    with pytest.raises(GraphError, match="gated is inside of two operators"):
        verify_graph(twice)


def test_what_is_inside_is_not_written_by_another_operator_too() -> None:
    graph = gated()
    relu = Op(OpKind.RELU, ("x",), ("gated",))
    for ops in ((*graph.ops, relu), (relu, *graph.ops)):
        with pytest.raises(GraphError, match=r"gated is (inside of an operator and written by another|written twice)"):
            verify_graph(replace(graph, ops=ops, outputs=("y", "gated")))


def test_what_is_inside_is_not_read_and_is_no_output() -> None:
    graph = gated()
    reader = replace(graph.tensor("gated"), name="z")
    read = replace(graph, ops=(*graph.ops, Op(OpKind.RELU, ("gated",), ("z",))), tensors={**graph.tensors, "z": reader})
    with pytest.raises(GraphError, match="reads gated before it is written"):
        verify_graph(read)
    with pytest.raises(GraphError, match="output gated is never written"):
        verify_graph(replace(graph, outputs=("y", "gated")))


def test_outputs_are_all_and_in_their_order() -> None:
    graph = verify_graph(fuse_mean_variance(draw("MEAN_VARIANCE", "the chain", SIZES, 0)))
    (fused,) = graph.ops
    for outputs in (("variance", "mean"), ("mean",), ("mean", "variance", "squares")):
        with pytest.raises(GraphError, match=r"is not a MEAN_VARIANCE: (its outputs must be mean, variance|nobody reads)"):
            verify_graph(with_op(graph, replace(fused, outputs=outputs)))


def test_kind_and_attributes_belong_together() -> None:
    graph = gated()
    (fused,) = graph.ops
    for wrong in (replace(fused, kind=OpKind.MUL), replace(fused, attrs=NoAttrs()), replace(fused, outputs=())):
        with pytest.raises(GraphError):
            verify_graph(with_op(graph, wrong))


@pytest.mark.parametrize(
    ("step", "inputs", "clause"),
    [
        (0, ("s00",), "first input must be s00"),
        (1, ("moved", "s00"), "p00 must be a product of x"),
        (1, ("s00", "x"), "p00 must be a map times one coefficient"),
        (3, ("p00", "p00"), "nobody reads p01"),
        (3, ("p00", "p11"), "nobody reads p01"),
        (6, ("p10", "p01"), "nobody reads p11"),
        (6, ("p11", "p11"), "nobody reads p10"),
        (7, ("y0", "y0"), "nobody reads y1"),
        (7, ("y0", "p11"), "nobody reads y1"),
    ],
)
def test_each_step_of_shift_max_reads_what_its_kernel_takes_it_to_read(step: int, inputs: tuple[str, ...], clause: str) -> None:
    graph = verify_graph(fuse_shift_max(draw("SHIFT_MAX", "the chain", SIZES, 0)))
    (fused,) = graph.ops
    body = list(fused.attrs.body)  # type: ignore[union-attr]
    body[step] = replace(body[step], inputs=inputs)
    assert clause in str(broken_clause(replace(fused, attrs=FusedAttrs(FusedPattern.SHIFT_MAX, tuple(body))), graph))


def test_sums_of_shift_max_are_not_of_each_others_products() -> None:
    """All products are read, each by the other sum: the order of the steps says which the kernel pairs."""
    graph = verify_graph(fuse_shift_max(draw("SHIFT_MAX", "the chain", SIZES, 0)))
    (fused,) = graph.ops
    body = list(fused.attrs.body)  # type: ignore[union-attr]
    for step, inputs in ((3, ("p00", "p11")), (6, ("p10", "p01"))):
        body[step] = replace(body[step], inputs=inputs)
    broken = broken_clause(replace(fused, attrs=FusedAttrs(FusedPattern.SHIFT_MAX, tuple(body))), graph)
    assert broken == "y0 must be the sum of the two products before it"


def test_a_fused_operator_in_another_is_refused() -> None:
    graph = gated()
    (fused,) = graph.ops
    assert "plain operators" in str(broken_clause(replace(fused, attrs=FusedAttrs(FusedPattern.MUL_DEPTHWISE, (fused,))), graph))


@pytest.mark.parametrize("bounds", [(-129, 127), (-128, 128), (5, 4)])
def test_bounds_of_an_activation_lie_in_int8_and_in_order(bounds: tuple[int, int]) -> None:
    graph = draw("MUL_DEPTHWISE", "the chain", SIZES, 0)
    with pytest.raises(GraphError, match="the activation's bounds are"):
        verify_graph(with_op(graph, replace(graph.ops[0], attrs=ClampAttrs(*bounds))))


def test_a_batch_of_convolutions_is_refused() -> None:
    graph = draw("DEPTHWISE_PAIR", "the chain", SIZES, 0)
    tensors = {
        name: tensor if tensor.is_constant else replace(tensor, shape=(2, *tensor.shape[1:]))
        for name, tensor in graph.tensors.items()
    }
    with pytest.raises(GraphError, match="a batch of 2, 1 is allowed"):
        verify_graph(replace(graph, tensors=tensors))
