"""SOFTMAX over the last axis: exponentials from a table, one reciprocal a row (gemmlowp's fixed point)."""

from __future__ import annotations

from ..build import Build
from ..fixed_point import softmax_exp_table
from ..ir import Graph, Op, SoftmaxAttrs
from .base import ConstArray, KernelCall, elementwise_schedule, untyped_call


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a SOFTMAX; each row is read wholly before it is written."""
    assert isinstance(op.attrs, SoftmaxAttrs)
    source = graph.tensor(op.inputs[0])
    depth = source.shape[-1] if source.shape else 1
    return untyped_call(
        template="softmax",
        shape={"depth": depth},
        inputs=(source.name,),
        outputs=(op.output,),
        arrays=(ConstArray("exponentials", softmax_exp_table(source.scale, op.attrs.beta)),),
        scalars={"rows": source.num_elements // depth},
        sharing={source.name: elementwise_schedule(source.num_elements)},
    )
