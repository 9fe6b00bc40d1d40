"""L2_NORMALIZATION over the last axis: the inverse root of a row's sum of squares in fixed point, then a product an element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op
from .base import KernelCall, elementwise_schedule
from .parameters import KernelParameters, data, size


@dataclass(frozen=True, eq=False)
class L2Normalization(KernelParameters):
    """Rows of `depth`."""

    template: ClassVar[str] = "l2_normalization"
    shown: ClassVar[Mapping[str, str]] = {"c": "depth"}
    depth: int = size()
    rows: int = data()
    zero_point: int = data()

    @property
    def summary(self) -> str:
        return "Each row over the root of its sum of squares, in units of 1/128."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of an L2_NORMALIZATION; each row is read wholly before it is written."""
    source = graph.tensor(op.inputs[0])
    depth = source.shape[-1]
    return KernelCall(
        L2Normalization(depth, source.num_elements // depth, source.zero_point),
        (source.name,),
        (op.output,),
        sharing={source.name: elementwise_schedule(source.num_elements)},
    )
