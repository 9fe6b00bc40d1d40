"""SQUARED_DIFFERENCE: both inputs on a common scale, the square of their difference, one requantization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import Multiplier, requantize, squared_difference_multipliers
from ..ir import Graph, Op, Tensor
from .base import ConstArray, KernelCall, untyped_call
from .broadcast import broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES
from .rescale import rescale
from .table import by_unsigned_byte, table_call

Int64 = npt.NDArray[np.int64]


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
    reach = int(max(np.abs(terms0.max() - terms1.min()), np.abs(terms1.max() - terms0.min()))) ** 2
    requant = rescale(factor, reach, output.zero_point)
    nest = broadcast_nest(first.shape, second.shape)
    inputs = (first.name,) if second.is_constant else (first.name, second.name)
    constant = (ConstArray("operand", second.constant().reshape(-1).astype(np.int8)),) if second.is_constant else ()
    return untyped_call(
        template="squared_difference",
        shape={**nest.as_shape(), **requant.shape("square"), "is_constant": second.is_constant},
        inputs=inputs,
        outputs=(op.output,),
        arrays=(
            ConstArray("table0", by_unsigned_byte(terms0.astype(np.int16))),
            ConstArray("table1", by_unsigned_byte(terms1.astype(np.int16))),
            *constant,
        ),
        scalars={**requant.scalars("square"), **nest.scalars()},
        sharing=elementwise_sharing(nest, inputs),
    )
