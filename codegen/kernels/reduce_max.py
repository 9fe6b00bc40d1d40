"""REDUCE_MAX over any axes, four elements at a time where they lie side by side."""

from __future__ import annotations

from ..build import Build
from ..ir import Graph, Op, ReduceAttrs
from .base import KernelCall, untyped_call
from .reduction import reduction_nest


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a REDUCE_MAX."""
    assert isinstance(op.attrs, ReduceAttrs)
    source = graph.tensor(op.inputs[0])
    nest = reduction_nest(source.shape, op.attrs.axes)
    return untyped_call(
        template="reduce_max",
        shape=nest.as_shape(),
        inputs=(source.name,),
        outputs=(op.output,),
        sharing=nest.sharing(source.name),
    )
