"""Functions of one int16 value, and SOFTMAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...activations_16 import knot_input, sigmoid_knots, slopes, softmax_multiplier_16, softmax_tables
from ...build import Build
from ...ir import Graph, Op, OpKind, SoftmaxAttrs
from ..base import C_TYPES, KernelCall, RowSchedule, elementwise_schedule
from ..parameters import KernelParameters, array, code, data, size


@dataclass(frozen=True, eq=False)
class Slopes16(KernelParameters):
    """One factor for values above the zero point, one for those below; `source` and `result` are C types."""

    template: ClassVar[str] = "int16x8/slopes"

    source: str = code()
    result: str = code()
    has_one_slope: bool = code()
    negates: bool = code()
    count: int = data()
    zero_point: int = data()
    multiplier: int = data()
    shift: int = data()
    below_multiplier: int | None = data()
    below_shift: int | None = data()
    output_zero_point: int = data()
    low: int = data()
    high: int = data()

    @property
    def name(self) -> str:
        return "rescale_16"

    @property
    def summary(self) -> str:
        return "Values rescaled and clamped" + ("." if self.has_one_slope else ", those below 0 by a factor of their own.")


@dataclass(frozen=True, eq=False)
class Curve16(KernelParameters):
    """knots  uint16[256], between which is interpolated"""

    template: ClassVar[str] = "int16x8/curve"

    is_logistic: bool = code()
    count: int = data()
    multiplier: int = data()
    rounding: int = data()
    shift: int = data()
    knots: npt.NDArray[np.uint16] = array()

    @property
    def name(self) -> str:
        return "logistic_16" if self.is_logistic else "tanh_16"

    @property
    def summary(self) -> str:
        return f"{'Sigmoid' if self.is_logistic else 'Hyperbolic tangent'} in Q0.15, interpolated in a table of the sigmoid."


@dataclass(frozen=True, eq=False)
class Softmax16(KernelParameters):
    """exponentials, reciprocals  int16[513], between which is interpolated"""

    template: ClassVar[str] = "int16x8/softmax"
    shown: ClassVar[Mapping[str, str]] = {"c": "depth"}

    depth: int = size()
    rows: int = data()
    multiplier: int = data()
    shift: int = data()
    exponentials: npt.NDArray[np.int16] = array()
    reciprocals: npt.NDArray[np.int16] = array()

    @property
    def name(self) -> str:
        return "softmax_16"

    @property
    def summary(self) -> str:
        return "Softmax in Q0.15: exponentials and the reciprocal of their sum, interpolated in tables."


def select_slopes(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a QUANTIZE, RELU, RELU6 or LEAKY_RELU; it may work in place where the output is no larger."""
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    found = slopes(op.kind.value, source, output, output.dtype.limits, op.parameters)
    has_one = found.above == found.below and not found.negates
    parameters = Slopes16(
        source=C_TYPES[source.dtype.value],
        result=C_TYPES[output.dtype.value],
        has_one_slope=has_one,
        negates=found.negates,
        count=output.num_elements,
        zero_point=source.zero_point,
        multiplier=found.above.multiplier,
        shift=found.above.shift,
        below_multiplier=None if has_one else found.below.multiplier,
        below_shift=None if has_one else found.below.shift,
        output_zero_point=output.zero_point,
        low=found.low,
        high=found.high,
    )
    shares = output.size_bytes <= source.size_bytes
    schedule = RowSchedule((output.size_bytes,), (source.size_bytes,))
    return KernelCall(parameters, op.inputs, op.outputs, sharing={source.name: schedule} if shares else {})


def select_curve(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a LOGISTIC or TANH on int16."""
    source = graph.tensor(op.inputs[0])
    units = knot_input(op.kind.value, source.scale)
    parameters = Curve16(
        op.kind is OpKind.LOGISTIC,
        source.num_elements,
        units.multiplier,
        units.rounding,
        units.shift,
        sigmoid_knots().astype(np.uint16),
    )
    return KernelCall(parameters, op.inputs, op.outputs, sharing={source.name: elementwise_schedule(source.size_bytes)})


def select_softmax(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a SOFTMAX on int16; each value is read before its exponential takes its place."""
    assert isinstance(op.attrs, SoftmaxAttrs)
    source = graph.tensor(op.inputs[0])
    factor = softmax_multiplier_16(source.scale, op.attrs.beta)
    exponentials, reciprocals = (table.astype(np.int16) for table in softmax_tables())
    parameters = Softmax16(
        source.shape[-1],
        source.num_elements // source.shape[-1],
        factor.multiplier,
        factor.shift,
        exponentials,
        reciprocals,
    )
    return KernelCall(parameters, op.inputs, op.outputs, sharing={source.name: elementwise_schedule(source.size_bytes)})
