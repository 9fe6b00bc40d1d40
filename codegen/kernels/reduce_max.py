"""REDUCE_MAX and REDUCE_MIN over any axes, four elements at a time where they lie side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op, OpKind, ReduceAttrs
from .base import KernelCall
from .parameters import KernelParameters, code, group
from .reduction import ReductionLoops, reduction_loops, reduction_nest


@dataclass(frozen=True, eq=False)
class ReduceMax(KernelParameters):
    """The largest (or the least) of the elements that meet in one output."""

    template: ClassVar[str] = "reduce_max"
    nest: ReductionLoops = group()
    is_least: bool = code()

    @property
    def name(self) -> str:
        return "reduce_min" if self.is_least else "reduce_max"

    @property
    def summary(self) -> str:
        return f"The {'least' if self.is_least else 'largest'} of the elements that meet in one output."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a REDUCE_MAX or REDUCE_MIN."""
    assert isinstance(op.attrs, ReduceAttrs)
    source = graph.tensor(op.inputs[0])
    nest = reduction_nest(source.shape, op.attrs.axes)
    parameters = ReduceMax(reduction_loops(nest), op.kind is OpKind.REDUCE_MIN)
    return KernelCall(parameters, (source.name,), (op.output,), sharing=nest.sharing(source.name))
