"""MEAN over any axes: the sum in int32, then one requantization with the division folded in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..fixed_point import mean_multiplier
from ..ir import Graph, Op, ReduceAttrs
from .base import KernelCall
from .parameters import KernelParameters, data, group
from .reduction import ReductionLoops, reduction_loops, reduction_nest
from .rescale import RescaleParameters, rescale


@dataclass(frozen=True, eq=False)
class Mean(KernelParameters):
    """Sums in int32, plus `sum_offset`, requantized with the division folded in."""

    template: ClassVar[str] = "mean"
    nest: ReductionLoops = group()
    mean: RescaleParameters = group()
    sum_offset: int = data()

    @property
    def summary(self) -> str:
        return "Means: sums of elements, requantized with the division folded in."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MEAN."""
    assert isinstance(op.attrs, ReduceAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    nest = reduction_nest(source.shape, op.attrs.axes)
    factor = mean_multiplier(source.scale, output.scale, nest.count)
    requant = rescale(factor, 255 * nest.count, output.zero_point)
    offset = -nest.count * source.zero_point
    return KernelCall(
        Mean(reduction_loops(nest), requant.parameters, offset),
        (source.name,),
        (op.output,),
        sharing=nest.sharing(source.name),
        accumulator=(-128 * nest.count + offset, 127 * nest.count + offset),
    )
