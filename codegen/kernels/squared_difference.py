"""SQUARED_DIFFERENCE: both inputs on a common scale, the square of their difference, one requantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import Multiplier, requantize, squared_difference_multipliers
from ..ir import Graph, Op, Tensor
from .base import KernelCall
from .broadcast import PairLoops, broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES
from .parameters import KernelParameters, array, code, group
from .rescale import RescaleParameters, rescale
from .table import by_unsigned_byte, table_call

Int16 = npt.NDArray[np.int16]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SquaredDifference(KernelParameters):
    """(table0[a] - table1[b])^2, requantized.

    table0, table1  int16[256] by unsigned byte;  operand  int8, a constant second operand
    """

    template: ClassVar[str] = "squared_difference"
    loops: PairLoops = group()
    is_constant: bool = code()
    square: RescaleParameters = group()
    table0: Int16 = array()
    table1: Int16 = array()
    operand: npt.NDArray[np.int8] | None = array()

    @property
    def summary(self) -> str:
        return "Both inputs on one scale by lookup tables, their difference squared and requantized."


def rescaled_inputs(first: Tensor, second: Tensor, output: Tensor) -> tuple[Int64, Int64, Multiplier]:
    """Both inputs on their common scale for every int8 value (entry `x + 128` belongs to x), and the square's factor.

    |rescaled| <= 255 * 64, so that differences fit 16 bits and squares 31.
    """
    factors = squared_difference_multipliers(first.scale, second.scale, output.scale)
    left, right = (
        requantize((INT8_VALUES - tensor.zero_point) << factors.left_shift, factor.multiplier, factor.shift)
        for tensor, factor in ((first, factors.input1), (second, factors.input2))
    )
    return left, right, factors.output


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a SQUARED_DIFFERENCE; the operands are broadcast as NumPy does."""
    first, second = (graph.tensor(name) for name in op.inputs)
    output = graph.tensor(op.output)
    if first.is_constant and not second.is_constant:
        first, second = second, first
    terms0, terms1, factor = rescaled_inputs(first, second, output)
    if second.is_constant and second.num_elements == 1:
        squares = (terms0 - terms1[int(second.constant().reshape(-1)[0]) + 128]) ** 2
        column = np.clip(requantize(squares, factor.multiplier, factor.shift) + output.zero_point, -128, 127)
        return table_call(first.name, op.output, first.num_elements, column.astype(np.int8))
    largest = int(max(np.abs(terms0.max() - terms1.min()), np.abs(terms1.max() - terms0.min()))) ** 2
    requant = rescale(factor, largest, output.zero_point)
    nest = broadcast_nest(first.shape, second.shape)
    inputs = (first.name,) if second.is_constant else (first.name, second.name)
    operand = second.constant().reshape(-1).astype(np.int8) if second.is_constant else None
    return KernelCall(
        SquaredDifference(
            nest.loops,
            second.is_constant,
            requant.parameters,
            by_unsigned_byte(terms0.astype(np.int16)),
            by_unsigned_byte(terms1.astype(np.int16)),
            operand,
        ),
        inputs,
        (op.output,),
        sharing=elementwise_sharing(nest, inputs),
    )
