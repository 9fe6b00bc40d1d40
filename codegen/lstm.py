"""The numbers of a UNIDIRECTIONAL_SEQUENCE_LSTM, as the reference, the twin and the kernel compute with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .fixed_point import Multiplier, lstm_gate_multiplier, lstm_hidden_multiplier
from .ir import Graph, LstmAttrs, Op

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
class Gate:
    """Two sums, each rescaled and clamped to int16: that of the data, to which that of the hidden state is added."""

    data: Sums
    hidden: Sums


@dataclass(frozen=True, eq=False)
class Lstm:
    """Gates in the order input, forget, cell, output; `cell_bits` are the integer bits of the cell state."""

    steps: int
    c_in: int
    cells: int
    gates: tuple[Gate, Gate, Gate, Gate]
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
    tensors = [graph.tensor(name) for name in op.inputs]
    data, hidden, cell = tensors[:3]
    exponent = cell_exponent(cell.scale)
    assert exponent is not None

    def gate(i: int) -> Gate:
        weights, recurrent, bias = tensors[3 + i], tensors[7 + i], tensors[11 + i].constant().astype(np.int64).reshape(-1)
        w, r = weights.constant().astype(np.int64), recurrent.constant().astype(np.int64)
        return Gate(
            Sums(w.astype(np.int8), bias - data.zero_point * w.sum(1), lstm_gate_multiplier(data.scale, weights.scale)),
            Sums(r.astype(np.int8), -hidden.zero_point * r.sum(1), lstm_gate_multiplier(hidden.scale, recurrent.scale)),
        )

    return Lstm(
        graph.tensor(op.output).num_elements // cell.num_elements,
        data.shape[-1],
        cell.num_elements,
        (gate(0), gate(1), gate(2), gate(3)),
        15 + exponent,
        op.attrs.cell_clip,
        lstm_hidden_multiplier(op.attrs.hidden.scale),
        op.attrs.hidden.zero_point,
    )
