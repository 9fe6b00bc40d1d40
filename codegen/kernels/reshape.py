"""A copy: RESHAPE where the planner could not make it free, READ_VARIABLE and ASSIGN_VARIABLE where bytes must move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op
from .base import KernelCall, elementwise_schedule
from .parameters import KernelParameters, size


@dataclass(frozen=True, eq=False)
class Copy(KernelParameters):
    template: ClassVar[str] = "copy"
    count: int = size()

    @property
    def summary(self) -> str:
        return "A copy."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a RESHAPE, a READ_VARIABLE or an ASSIGN_VARIABLE: a copy."""
    count = graph.tensor(op.output).size_bytes
    sharing = {op.inputs[0]: elementwise_schedule(count)}
    return KernelCall(Copy(count), (op.inputs[0],), (op.output,), sharing=sharing, moves_bytes=True)
