"""ADD, SUB and MUL on int16; a constant operand comes from flash."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...build import Build
from ...fixed_point import add_multipliers, mul_multiplier
from ...ir import ClampAttrs, DType, Graph, Op, OpKind, Tensor
from ..base import KernelCall
from ..broadcast import BroadcastNest, PairLoops, broadcast_nest, elementwise_sharing
from ..parameters import KernelParameters, array, code, data, group


@dataclass(frozen=True, eq=False)
class Add16(KernelParameters):
    """Both operands on one scale, their sum or difference on the output's.

    shifts      both operands are shifted right, and that is all
    is_swapped  the first operand of the loops is the second of the operator
    """

    template: ClassVar[str] = "int16x8/add"

    loops: PairLoops = group()
    subtracts: bool = code()
    is_swapped: bool = code()
    shifts: bool = code()
    is_constant: bool = code()
    is_clamped: bool = code()
    multiplier0: int | None = data()
    shift0: int = data()
    multiplier1: int | None = data()
    shift1: int = data()
    multiplier: int | None = data()
    shift: int | None = data()
    low: int = data()
    high: int = data()
    operand: npt.NDArray[np.int16] | None = array()

    @property
    def name(self) -> str:
        return "sub_16" if self.subtracts else "add_16"

    @property
    def summary(self) -> str:
        what = "Difference" if self.subtracts else "Sum"
        how = "shifted right to the output's scale" if self.shifts else "rescaled to one scale, then to the output's"
        return f"{what} of int16 values, {how}."


@dataclass(frozen=True, eq=False)
class Mul16(KernelParameters):
    template: ClassVar[str] = "int16x8/mul"

    loops: PairLoops = group()
    is_constant: bool = code()
    is_clamped: bool = code()
    multiplier: int = data()
    shift: int = data()
    low: int = data()
    high: int = data()
    operand: npt.NDArray[np.int16] | None = array()

    @property
    def name(self) -> str:
        return "mul_16"

    @property
    def summary(self) -> str:
        return "Product of int16 values, rescaled to the output's scale."


@dataclass(frozen=True, eq=False)
class _Operands:
    """Two operands, of which at most the second is a constant."""

    first: Tensor
    second: Tensor
    is_swapped: bool
    nest: BroadcastNest

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.first.name,) if self.second.is_constant else (self.first.name, self.second.name)

    @property
    def constant(self) -> npt.NDArray[np.int16] | None:
        return self.second.constant().reshape(-1).astype(np.int16) if self.second.is_constant else None


def _operands(op: Op, graph: Graph) -> _Operands:
    first, second = (graph.tensor(name) for name in op.inputs)
    is_swapped = first.is_constant and not second.is_constant
    if is_swapped:
        first, second = second, first
    return _Operands(first, second, is_swapped, broadcast_nest(first.shape, second.shape))


def _call(parameters: KernelParameters, operands: _Operands, op: Op) -> KernelCall:
    nest, inputs = operands.nest, operands.inputs
    return KernelCall(parameters, inputs, (op.output,), sharing=elementwise_sharing(replace(nest, element_bytes=2), inputs))


def select_add(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of an ADD or SUB on int16."""
    assert isinstance(op.attrs, ClampAttrs)
    operands, attrs = _operands(op, graph), op.attrs
    order = (1, 0) if operands.is_swapped else (0, 1)
    scale0, scale1, scale = (graph.tensor(name).scale for name in (*op.inputs, op.output))
    factors = add_multipliers(scale0, scale1, scale, left_shift=15)
    terms = [(factors.input1, factors.input2)[i] for i in order]
    shifts = None if attrs.shifts is None else [attrs.shifts[i] for i in order]
    parameters = Add16(
        loops=operands.nest.loops,
        subtracts=op.kind is OpKind.SUB,
        is_swapped=operands.is_swapped,
        shifts=shifts is not None,
        is_constant=operands.second.is_constant,
        is_clamped=(attrs.activation_min, attrs.activation_max) != DType.INT16.limits,
        multiplier0=None if shifts else terms[0].multiplier,
        shift0=shifts[0] if shifts else terms[0].shift,
        multiplier1=None if shifts else terms[1].multiplier,
        shift1=shifts[1] if shifts else terms[1].shift,
        multiplier=None if shifts else factors.output.multiplier,
        shift=None if shifts else factors.output.shift,
        low=attrs.activation_min,
        high=attrs.activation_max,
        operand=operands.constant,
    )
    return _call(parameters, operands, op)


def select_mul(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MUL on int16."""
    assert isinstance(op.attrs, ClampAttrs)
    operands, attrs = _operands(op, graph), op.attrs
    factor = mul_multiplier(*(graph.tensor(name).scale for name in (*op.inputs, op.output)))
    parameters = Mul16(
        loops=operands.nest.loops,
        is_constant=operands.second.is_constant,
        is_clamped=(attrs.activation_min, attrs.activation_max) != DType.INT16.limits,
        multiplier=factor.multiplier,
        shift=factor.shift,
        low=attrs.activation_min,
        high=attrs.activation_max,
        operand=operands.constant,
    )
    return _call(parameters, operands, op)
