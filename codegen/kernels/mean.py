"""MEAN over any axes: the sum in int32, then one requantization with the division folded in."""

from __future__ import annotations

from ..build import Build
from ..fixed_point import mean_multiplier
from ..ir import Graph, Op, ReduceAttrs
from .base import KernelCall, untyped_call
from .reduction import reduction_nest
from .rescale import rescale


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MEAN."""
    assert isinstance(op.attrs, ReduceAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    nest = reduction_nest(source.shape, op.attrs.axes)
    factor = mean_multiplier(source.scale, output.scale, nest.count)
    requant = rescale(factor, 255 * nest.count, output.zero_point)
    return untyped_call(
        template="mean",
        shape={**nest.as_shape(), **requant.shape("mean")},
        inputs=(source.name,),
        outputs=(op.output,),
        scalars={
            "sum_offset": -nest.count * source.zero_point,
            **requant.scalars("mean"),
        },
        sharing=nest.sharing(source.name),
    )
