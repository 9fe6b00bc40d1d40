"""The numbers of a UNIDIRECTIONAL_SEQUENCE_LSTM, as the reference, the twin and the kernel compute with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .fixed_point import (
    Multiplier,
    inverse_square_root,
    lstm_gate_multiplier,
    lstm_hidden_multiplier,
    lstm_norm_multiplier,
    lstm_peephole_multiplier,
    mul_multiplier,
    requantize,
    rounding_divide_by_pot,
)
from .ir import Graph, LstmAttrs, Op, Tensor

Int64 = npt.NDArray[np.int64]

GATE_BITS = 3  # integer bits of a gate's int16 before its sigmoid or tanh


@dataclass(frozen=True, eq=False)
class Sums:
    """Products of a gate with one operand, on the way to int16: int8 weights [cells, c_in], and what is added to each sum.

    bias  [cells], with the operand's zero point folded in
    """

    weights: npt.NDArray[np.int8]
    bias: Int64
    multiplier: Multiplier


@dataclass(frozen=True, eq=False)
class Peephole:
    """What a gate sees of each cell: its state times a weight, rescaled to the gate's int16."""

    weights: Int64
    multiplier: Multiplier


@dataclass(frozen=True, eq=False)
class Norm:
    """Layer normalization of a gate: times weights, plus bias, 2^10 times too large, and that rescaled.

    least_variance  taken where the cells' variance is below 1
    """

    weights: Int64
    bias: Int64
    multiplier: Multiplier
    least_variance: int

    @property
    def share(self) -> int:
        """1 / cells in Q20, rounded down."""
        return (1 << 20) // len(self.weights)

    def of(self, values: Int64) -> Int64:
        """Normalised values of [cells], before they are clamped to int16."""
        total, squares = int(values.sum()), int((values * values).sum())
        mean = _truncated(1024 * total, len(values))
        variance = _truncated(squares * self.share - mean * mean, 1 << 20)
        factor = inverse_square_root(variance if variance >= 1 else self.least_variance)
        scaled = requantize(1024 * values - mean, factor.multiplier, factor.shift)
        wrapped = (scaled * self.weights + self.bias).astype(np.int32).astype(np.int64)
        return requantize(rounding_divide_by_pot(wrapped, 10), self.multiplier.multiplier, self.multiplier.shift)


def _truncated(value: int, divisor: int) -> int:
    return value // divisor if value >= 0 else -(-value // divisor)


@dataclass(frozen=True, eq=False)
class Gate:
    """Two sums, each rescaled and clamped to int16: that of the data, to which that of the hidden state is added.

    peephole  what is added and clamped then, if anything: of the cell state before, for the output gate of that behind
    norm      what all is normalised by then; the bias is in it and not in the sums
    """

    data: Sums
    hidden: Sums
    peephole: Peephole | None
    norm: Norm | None


@dataclass(frozen=True, eq=False)
class Projection:
    """From cells to units: sums of what is stored of the cells, rescaled, and added to a zero point; clip 0: none."""

    sums: Sums
    zero_point: int
    clip: int


@dataclass(frozen=True, eq=False)
class Lstm:
    """Gates in the order input, forget, cell, output; without an input gate it is 32767 less the forget gate.

    cell_bits          integer bits of the cell state
    output_zero_point  what is added to each cell's product: a projection's cells have the zero point's negative, as in LiteRT
    """

    steps: int
    c_in: int
    cells: int
    units: int
    gates: tuple[Gate | None, Gate, Gate, Gate]
    projection: Projection | None
    cell_bits: int
    cell_clip: int
    output: Multiplier
    output_zero_point: int


def cell_exponent(scale: float) -> int | None:
    """log2 of a cell state's scale, where that is a whole number that the kernel's tanh takes."""
    mantissa, exponent = np.frexp(np.float32(scale))
    return int(exponent) - 1 if mantissa == 0.5 and -15 <= exponent - 1 <= -9 else None


def lstm_of(op: Op, graph: Graph) -> Lstm:
    """The numbers of an operator that keeps the rules."""
    assert isinstance(op.attrs, LstmAttrs)
    found = {place: graph.tensor(name) for place, name in zip(op.attrs.operands, op.inputs, strict=True)}
    data, hidden, cell = (found[i] for i in range(3))
    exponent = cell_exponent(cell.scale)
    assert exponent is not None

    scales = op.attrs.gate_scales

    def peephole(tensor: Tensor, gate_scale: float) -> Peephole:
        weights = tensor.constant().astype(np.int64).reshape(-1)
        return Peephole(weights, lstm_peephole_multiplier(cell.scale, tensor.scale, gate_scale))

    def norm(tensor: Tensor, bias: Int64) -> Norm:
        least = max(1, int(np.float32(10000) * np.float32(tensor.scale)))
        return Norm(tensor.constant().astype(np.int64).reshape(-1), bias, lstm_norm_multiplier(tensor.scale), least)

    def gate(i: int) -> Gate:
        weights, recurrent, bias = found[3 + i], found[7 + i], found[11 + i].constant().astype(np.int64).reshape(-1)
        w, r = weights.constant().astype(np.int64), recurrent.constant().astype(np.int64)
        seen, coefficients = found.get({0: 15, 1: 16, 3: 17}.get(i, -1)), found.get(20 + i)
        start = (bias if coefficients is None else 0 * bias) - data.zero_point * w.sum(1)
        return Gate(
            Sums(w.astype(np.int8), start, lstm_gate_multiplier(data.scale, weights.scale, scales[i])),
            Sums(
                r.astype(np.int8),
                -hidden.zero_point * r.sum(1),
                lstm_gate_multiplier(hidden.scale, recurrent.scale, scales[i]),
            ),
            None if seen is None else peephole(seen, scales[i]),
            None if coefficients is None else norm(coefficients, bias),
        )

    projection, zero_point = None, op.attrs.hidden.zero_point
    if 18 in found:
        weights = found[18].constant().astype(np.int64)
        bias = found[19].constant().astype(np.int64).reshape(-1) if 19 in found else np.zeros(len(weights), np.int64)
        factor = mul_multiplier(found[18].scale, op.attrs.hidden.scale, hidden.scale)
        sums = Sums(weights.astype(np.int8), bias + zero_point * weights.sum(1), factor)
        projection, zero_point = Projection(sums, hidden.zero_point, op.attrs.output_clip), -zero_point
    return Lstm(
        graph.tensor(op.output).num_elements // hidden.num_elements,
        data.shape[-1],
        cell.num_elements,
        hidden.num_elements,
        (gate(0) if 3 in found else None, gate(1), gate(2), gate(3)),
        projection,
        15 + exponent,
        op.attrs.cell_clip,
        lstm_hidden_multiplier(op.attrs.hidden.scale),
        zero_point,
    )
