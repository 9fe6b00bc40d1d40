"""ADD and SUB. LiteRT rescales both inputs, adds, and rescales again; the kernel does one affine step where that is equal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import add_multipliers, requantize
from ..ir import ClampAttrs, Graph, Op, OpKind, Tensor
from .base import ConstArray, KernelCall, untyped_call
from .broadcast import broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES, fit_affine
from .rescale import Rescale, rescale
from .table import by_unsigned_byte, table_call

Int64 = npt.NDArray[np.int64]


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of an ADD or SUB; the operands are broadcast as NumPy does."""
    assert isinstance(op.attrs, ClampAttrs)
    first, second = (graph.tensor(name) for name in op.inputs)
    sum_ = Sum(op, first, second, graph.tensor(op.output))
    if first.is_constant and not second.is_constant:
        sum_ = sum_.swapped()
    return sum_.call(op.output)


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
        reach = sum(int(np.abs(term).max()) for term in self.terms)
        return rescale(self.factor, reach, self.output.zero_point)

    def call(self, output: str) -> KernelCall:
        first, second = self.tensors
        if second.is_constant and second.num_elements == 1:
            return self._scalar_table(output)
        if second.is_constant:
            return self._with_tables(output, "add_constant")
        affine = fit_affine(self.expected, *self.reals, self.low, self.high)
        if affine is None:
            return self._with_tables(output, "add_tables")
        nest = broadcast_nest(first.shape, second.shape)
        return untyped_call(
            template="add",
            shape={**nest.as_shape(), "shift": affine.shift, "low": self.low, "high": self.high},
            inputs=(first.name, second.name),
            outputs=(output,),
            scalars={"factor0": affine.factor0, "factor1": affine.factor1, "bias": affine.bias, **nest.scalars()},
            sharing=elementwise_sharing(nest, (first.name, second.name)),
        )

    def _scalar_table(self, output: str) -> KernelCall:
        """One constant operand for all elements: a function of one value."""
        first, second = self.tensors
        value = int(second.constant().reshape(-1)[0])
        column = np.clip(self.expected[:, value + 128], self.low, self.high).astype(np.int8)
        return table_call(first.name, output, first.num_elements, column)

    def _with_tables(self, output: str, template: str) -> KernelCall:
        """The rescaled inputs from int32 tables (constants: known now), and the exact requantization of their sum."""
        first, second = self.tensors
        nest = broadcast_nest(first.shape, second.shape)
        requant = self.requant
        terms = [(term << requant.doubled).astype(np.int32) for term in self.terms]
        inputs = [first.name, second.name]
        arrays = [ConstArray(f"table{i}", by_unsigned_byte(term)) for i, term in enumerate(terms)]
        if second.is_constant:
            inputs, arrays = inputs[:1], arrays[:1]
            arrays.append(ConstArray("addends", terms[1][second.constant().reshape(-1).astype(np.int64) + 128]))
        return untyped_call(
            template=template,
            shape={**nest.as_shape(), **requant.shape("sum"), "right": requant.shift, "low": self.low, "high": self.high},
            inputs=tuple(inputs),
            outputs=(output,),
            arrays=tuple(arrays),
            scalars={**requant.scalars("sum"), **nest.scalars()},
            sharing=elementwise_sharing(nest, tuple(inputs)),
        )
