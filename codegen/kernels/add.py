"""ADD and SUB. LiteRT rescales both inputs, adds, and rescales again; the kernel does one affine step where that is equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import add_multipliers, requantize
from ..ir import ClampAttrs, Graph, Op, OpKind, Tensor
from .base import KernelCall
from .broadcast import PairLoops, broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES, fit_affine
from .parameters import KernelParameters, array, code, data, group
from .rescale import Rescale, RescaleParameters, rescale
from .table import by_unsigned_byte, table_call

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of an ADD or SUB; the operands are broadcast as NumPy does."""
    assert isinstance(op.attrs, ClampAttrs)
    first, second = (graph.tensor(name) for name in op.inputs)
    sum_ = Sum(op, first, second, graph.tensor(op.output))
    if first.is_constant and not second.is_constant:
        sum_ = sum_.swapped()
    return sum_.call(op.output)


@dataclass(frozen=True, eq=False)
class Add(KernelParameters):
    """(a * factor0 + b * factor1 + bias) >> right: no table."""

    template: ClassVar[str] = "add"
    loops: PairLoops = group()
    right: int = code()
    low: int = code()
    high: int = code()
    factor0: int = data()
    factor1: int = data()
    bias: int = data()

    @property
    def summary(self) -> str:
        return (
            f"Sum of two maps, (a * factor0 + b * factor1 + bias) >> {self.right}: "
            "equal to LiteRT's three roundings for all 65,536 pairs of values."
        )


@dataclass(frozen=True, eq=False)
class AddByTables(KernelParameters):
    """table0[a] + table1[b], requantized; or plus constants that are rescaled already.

    table0, table1  int32[256] by unsigned byte;  addends  int32, one for each element of the second operand
    """

    template: ClassVar[str] = "add_tables"
    loops: PairLoops = group()
    is_constant: bool = code()
    right: int = code()
    low: int = code()
    high: int = code()
    sum: RescaleParameters = group()
    table0: Int32 = array()
    table1: Int32 | None = array()
    addends: Int32 | None = array()

    @property
    def name(self) -> str:
        return "add_constant" if self.is_constant else "add_by_tables"

    @property
    def summary(self) -> str:
        if self.is_constant:
            return "An input rescaled by a lookup table, plus constants that are rescaled already, requantized."
        return "Both inputs rescaled by lookup tables, summed and requantized: where no affine formula is exact."


class Sum:
    """term0[a] + term1[b], rescaled: `expected[a + 128, b + 128]` before the clamp."""

    def __init__(self, op: Op, first: Tensor, second: Tensor, output: Tensor):
        assert isinstance(op.attrs, ClampAttrs)
        sign = -1 if op.kind is OpKind.SUB else 1
        factors = add_multipliers(first.scale, second.scale, output.scale)
        self.tensors = (first, second)
        self.terms: tuple[Int64, ...] = tuple(
            scale * requantize((INT8_VALUES - tensor.zero_point) << factors.left_shift, factor.multiplier, factor.shift)
            for tensor, factor, scale in ((first, factors.input1, 1), (second, factors.input2, sign))
        )
        self.reals = (first.scale / output.scale, sign * second.scale / output.scale)
        self.factor = factors.output
        self.output = output
        self.low, self.high = op.attrs.activation_min, op.attrs.activation_max

    def swapped(self) -> Sum:
        """The same sum with its operands in the other order."""
        self.tensors, self.terms, self.reals = self.tensors[::-1], self.terms[::-1], self.reals[::-1]
        return self

    @property
    def expected(self) -> Int64:
        total = self.terms[0][:, np.newaxis] + self.terms[1][np.newaxis, :]
        return requantize(total, self.factor.multiplier, self.factor.shift) + self.output.zero_point

    @property
    def requant(self) -> Rescale:
        """What brings term0[a] + term1[b] to the output."""
        largest = sum(int(np.abs(term).max()) for term in self.terms)
        return rescale(self.factor, largest, self.output.zero_point)

    def call(self, output: str) -> KernelCall:
        first, second = self.tensors
        if second.is_constant and second.num_elements == 1:
            return self._scalar_table(output)
        if second.is_constant:
            return self._with_tables(output)
        affine = fit_affine(self.expected, *self.reals, self.low, self.high)
        if affine is None:
            return self._with_tables(output)
        nest = broadcast_nest(first.shape, second.shape)
        return KernelCall(
            Add(nest.loops, affine.shift, self.low, self.high, affine.factor0, affine.factor1, affine.bias),
            inputs=(first.name, second.name),
            outputs=(output,),
            sharing=elementwise_sharing(nest, (first.name, second.name)),
        )

    def _scalar_table(self, output: str) -> KernelCall:
        """One constant operand for all elements: a function of one value."""
        first, second = self.tensors
        value = int(second.constant().reshape(-1)[0])
        column = np.clip(self.expected[:, value + 128], self.low, self.high).astype(np.int8)
        return table_call(first.name, output, first.num_elements, column)

    def _with_tables(self, output: str) -> KernelCall:
        """The rescaled inputs from int32 tables (constants: known now), and the exact requantization of their sum."""
        first, second = self.tensors
        nest = broadcast_nest(first.shape, second.shape)
        requant = self.requant
        terms = [(term << requant.doubled).astype(np.int32) for term in self.terms]
        inputs = (first.name,) if second.is_constant else (first.name, second.name)
        addends = terms[1][second.constant().reshape(-1).astype(np.int64) + 128] if second.is_constant else None
        parameters = AddByTables(
            nest.loops,
            second.is_constant,
            requant.shift,
            self.low,
            self.high,
            requant.parameters,
            by_unsigned_byte(terms[0]),
            None if second.is_constant else by_unsigned_byte(terms[1]),
            addends,
        )
        return KernelCall(parameters, inputs, (output,), sharing=elementwise_sharing(nest, inputs))
