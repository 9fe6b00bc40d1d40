"""REDUCE_MAX over any axes, four elements at a time where they lie side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op, ReduceAttrs
from .base import KernelCall
from .parameters import KernelParameters, group
from .reduction import ReductionLoops, reduction_loops, reduction_nest


@dataclass(frozen=True, eq=False)
class ReduceMax(KernelParameters):
    """The largest of the elements that meet in one output."""

    template: ClassVar[str] = "reduce_max"
    nest: ReductionLoops = group()

    @property
    def summary(self) -> str:
        return "The largest of the elements that meet in one output."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a REDUCE_MAX."""
    assert isinstance(op.attrs, ReduceAttrs)
    source = graph.tensor(op.inputs[0])
    nest = reduction_nest(source.shape, op.attrs.axes)
    return KernelCall(ReduceMax(reduction_loops(nest)), (source.name,), (op.output,), sharing=nest.sharing(source.name))
