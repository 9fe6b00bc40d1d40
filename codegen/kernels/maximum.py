"""MAXIMUM of two tensors of one quantization: four elements at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import Graph, Op
from .base import KernelCall
from .broadcast import PairLoops, broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES
from .parameters import KernelParameters, array, code, group
from .table import table_call


@dataclass(frozen=True, eq=False)
class Maximum(KernelParameters):
    """The larger of two values; operand  int8, a constant second operand."""

    template: ClassVar[str] = "maximum"
    loops: PairLoops = group()
    is_constant: bool = code()
    operand: npt.NDArray[np.int8] | None = array()

    @property
    def summary(self) -> str:
        other = "a constant" if self.is_constant else "one of another map"
        return f"The larger of an element and {other}."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MAXIMUM; the operands are broadcast as NumPy does."""
    first, second = (graph.tensor(name) for name in op.inputs)
    if first.is_constant and not second.is_constant:
        first, second = second, first
    if second.is_constant and second.num_elements == 1:
        floor = int(second.constant().reshape(-1)[0])
        return table_call(first.name, op.output, first.num_elements, np.maximum(INT8_VALUES, floor).astype(np.int8))
    nest = broadcast_nest(first.shape, second.shape)
    inputs = (first.name,) if second.is_constant else (first.name, second.name)
    operand = second.constant().reshape(-1).astype(np.int8) if second.is_constant else None
    return KernelCall(
        Maximum(nest.loops, second.is_constant, operand), inputs, (op.output,), sharing=elementwise_sharing(nest, inputs)
    )
