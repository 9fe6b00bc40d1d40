"""Activations: one look-up in a 256-entry table for each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..int8_functions import function_table
from ..ir import Graph, Op
from ..reference import division_table
from .base import KernelCall, elementwise_schedule
from .parameters import KernelParameters, array, data


@dataclass(frozen=True, eq=False)
class LookupTable(KernelParameters):
    """table[x] for each of `count` elements; table  int8[256] by unsigned byte."""

    template: ClassVar[str] = "lookup_table"
    table: npt.NDArray[np.int8] = array()
    count: int = data()

    @property
    def summary(self) -> str:
        return "A function of one int8 value: each element by a lookup table of 256 bytes."


_Element = TypeVar("_Element", bound=np.integer)


def by_unsigned_byte(table: npt.NDArray[_Element]) -> npt.NDArray[_Element]:
    """A table whose entry `x + 128` belongs to the int8 value x, reordered so that the byte of x, unsigned, is its index."""
    return np.roll(table, 128)


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of an operator of one int8 value."""
    return table_call(op.inputs[0], op.output, graph.tensor(op.output).num_elements, function_table(op, graph))


def select_division(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a DIV by a constant."""
    return table_call(op.inputs[0], op.output, graph.tensor(op.output).num_elements, division_table(op, graph))


def table_call(source: str, output: str, num_elements: int, table: npt.NDArray[np.int8]) -> KernelCall:
    """A kernel call that maps every element through int8[256]; entry `x + 128` belongs to x."""
    return KernelCall(
        LookupTable(by_unsigned_byte(table), num_elements),
        (source,),
        (output,),
        sharing={source: elementwise_schedule(num_elements)},
    )
