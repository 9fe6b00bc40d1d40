"""What each operator of a lowered network makes of int8 values: LiteRT's integer arithmetic on a batch, in NumPy.

Values are centred, stored - zero point, as int64; results are stored int8 values, as int64. Every factor, rounding and table
comes from `codegen/fixed_point.py` and `activations.py`, which the generated C takes them from as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..codegen.activations import ACTIVATIONS, activation_bounds, activation_table
from ..codegen.fixed_point import (
    SOFTMAX_SUM_SHIFT,
    AddMultipliers,
    Int8,
    Int64,
    Multiplier,
    add_multipliers,
    convolution_multiplier,
    mean_multiplier,
    mul_multiplier,
    requantize,
    rounding_divide_by_pot,
    softmax_exp_table,
    softmax_output,
    softmax_reciprocal,
    squared_difference_multipliers,
)
from .activation_scales import Affine
from .float_graph import FloatOp, Kind
from .pointwise import function_table

Integer = Callable[[FloatOp, Sequence[Int64], Sequence[Affine], Affine], Int64]


def int8_result(op: FloatOp, inputs: Sequence[Int64], sources: Sequence[Affine], result: Affine) -> Int64:
    """The stored output [N, ...] of an operator without weights that is not a pooling and moves not only values.

    inputs   centred [N, ...];  sources, result   their quantizations and the output's
    """
    return _clamped(op, INTEGER_OPERATORS[op.kind](op, inputs, sources, result), result)


def convolved(op: FloatOp, accumulators: Int64, weight_scales: npt.NDArray[np.float64], source: Affine, result: Affine) -> Int64:
    """The stored output of a convolution from its sums [..., channels], bias included."""
    found = [convolution_multiplier(source.scale, scale, result.scale) for scale in weight_scales.tolist()]
    multipliers = np.array([factor.multiplier for factor in found], np.int64)
    shifts = np.array([factor.shift for factor in found], np.int64)
    return _clamped(op, requantize(accumulators, multipliers, shifts) + result.zero_point, result)


def averaged(op: FloatOp, sums: Int64, counts: Int64, result: Affine) -> Int64:
    """The stored output of an AVERAGE_POOL_2D: stored values' sum by count, rounded half away from zero.

    sums     of centred values;  counts   of the positions that they lie at
    """
    totals = sums + result.zero_point * counts
    return _clamped(op, np.sign(totals) * ((np.abs(totals) + counts // 2) // counts), result)


def stored_bounds(op: FloatOp, result: Affine) -> tuple[int, int]:
    """The smallest and the largest int8 value that an operator may write."""
    return activation_bounds(str(op.options.get("fusedActivationFunction", "NONE")), result.scale, result.zero_point)


def _clamped(op: FloatOp, stored: Int64, result: Affine) -> Int64:
    low, high = stored_bounds(op, result)
    clamped: Int64 = np.clip(stored, low, high)
    return clamped


def _scaled(value: Int64, factor: Multiplier, result: Affine) -> Int64:
    return requantize(value, factor.multiplier, factor.shift) + result.zero_point


@lru_cache(maxsize=1024)
def _table(kind: Kind, source: Affine, result: Affine, parameters: tuple[float, ...]) -> Int8:
    return activation_table(kind, source, result, parameters)


def _by_own_table(op: FloatOp, inputs: Sequence[Int64], sources: Sequence[Affine], result: Affine) -> Int64:
    source = sources[0]
    table = function_table(op.options["term"], source.scale, source.zero_point, result.scale, result.zero_point)
    return table[inputs[0] + (source.zero_point + 128)].astype(np.int64)


def _by_table(op: FloatOp, inputs: Sequence[Int64], sources: Sequence[Affine], result: Affine) -> Int64:
    table = _table(op.kind, sources[0], result, ACTIVATIONS[op.kind.value].values(op.options))
    return table[inputs[0] + (sources[0].zero_point + 128)].astype(np.int64)


def _rescaled_pair(inputs: Sequence[Int64], sources: Sequence[Affine], factors: AddMultipliers) -> tuple[Int64, Int64]:
    """Both inputs on their common scale: 256 values each can take, so two tables."""
    found = []
    for value, source, factor in zip(inputs, sources, (factors.input1, factors.input2), strict=True):
        every = (np.arange(-128, 128, dtype=np.int64) - source.zero_point) << factors.left_shift
        table = requantize(every, factor.multiplier, factor.shift)
        found.append(table[value + (source.zero_point + 128)])
    return found[0], found[1]


def _add_or_sub(op: FloatOp, inputs: Sequence[Int64], sources: Sequence[Affine], result: Affine) -> Int64:
    factors = add_multipliers(sources[0].scale, sources[1].scale, result.scale)
    left, right = _rescaled_pair(inputs, sources, factors)
    return _scaled(left + right if op.kind is Kind.ADD else left - right, factors.output, result)


def _squared_difference(op: FloatOp, inputs: Sequence[Int64], sources: Sequence[Affine], result: Affine) -> Int64:
    factors = squared_difference_multipliers(sources[0].scale, sources[1].scale, result.scale)
    left, right = _rescaled_pair(inputs, sources, factors)
    return _scaled((left - right) ** 2, factors.output, result)


def _mul(op: FloatOp, inputs: Sequence[Int64], sources: Sequence[Affine], result: Affine) -> Int64:
    return _scaled(inputs[0] * inputs[1], mul_multiplier(sources[0].scale, sources[1].scale, result.scale), result)


def _mean(op: FloatOp, inputs: Sequence[Int64], sources: Sequence[Affine], result: Affine) -> Int64:
    axes = tuple(int(axis) + 1 for axis in op.parameters[0])
    count = int(np.prod([inputs[0].shape[axis] for axis in axes]))
    sums: Int64 = inputs[0].sum(axis=axes, keepdims=bool(op.options.get("keepDims", True)))
    return _scaled(sums, mean_multiplier(sources[0].scale, result.scale, count), result)


def _softmax(op: FloatOp, inputs: Sequence[Int64], sources: Sequence[Affine], result: Affine) -> Int64:
    table = softmax_exp_table(sources[0].scale, float(op.options.get("beta", 1.0))).astype(np.int64)
    exponential = table[inputs[0].max(axis=-1, keepdims=True) - inputs[0]]
    total = rounding_divide_by_pot(exponential, SOFTMAX_SUM_SHIFT).sum(axis=-1, keepdims=True)
    return softmax_output(exponential, *softmax_reciprocal(total)).astype(np.int64)


INTEGER_OPERATORS: Mapping[Kind, Integer] = {
    Kind.ADD: _add_or_sub,
    Kind.SUB: _add_or_sub,
    Kind.MUL: _mul,
    Kind.SQUARED_DIFFERENCE: _squared_difference,
    Kind.MEAN: _mean,
    Kind.SOFTMAX: _softmax,
    Kind.TABLE: _by_own_table,
    **{kind: _by_table for kind in Kind if kind.value in ACTIVATIONS},
}
