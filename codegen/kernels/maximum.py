"""MAXIMUM and MINIMUM of two tensors of one quantization: four elements at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import Graph, Op, OpKind
from .base import KernelCall
from .broadcast import PairLoops, broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES
from .parameters import KernelParameters, array, code, group
from .table import table_call


@dataclass(frozen=True, eq=False)
class Maximum(KernelParameters):
    """The larger (or the smaller) of two values; operand  int8, a constant second operand."""

    template: ClassVar[str] = "maximum"
    loops: PairLoops = group()
    is_constant: bool = code()
    is_least: bool = code()
    operand: npt.NDArray[np.int8] | None = array()

    @property
    def name(self) -> str:
        return "minimum" if self.is_least else "maximum"

    @property
    def summary(self) -> str:
        other = "a constant" if self.is_constant else "one of another map"
        return f"The {'smaller' if self.is_least else 'larger'} of an element and {other}."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MAXIMUM or MINIMUM; the operands are broadcast as NumPy does."""
    is_least = op.kind is OpKind.MINIMUM
    first, second = (graph.tensor(name) for name in op.inputs)
    if first.is_constant and not second.is_constant:
        first, second = second, first
    if second.is_constant and second.num_elements == 1:
        bound = int(second.constant().reshape(-1)[0])
        bounded = np.minimum(INT8_VALUES, bound) if is_least else np.maximum(INT8_VALUES, bound)
        return table_call(first.name, op.output, first.num_elements, bounded.astype(np.int8))
    nest = broadcast_nest(first.shape, second.shape)
    inputs = (first.name,) if second.is_constant else (first.name, second.name)
    operand = second.constant().reshape(-1).astype(np.int8) if second.is_constant else None
    parameters = Maximum(nest.loops, second.is_constant, is_least, operand)
    return KernelCall(parameters, inputs, (op.output,), sharing=elementwise_sharing(nest, inputs))
