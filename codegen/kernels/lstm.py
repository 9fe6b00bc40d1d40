"""UNIDIRECTIONAL_SEQUENCE_LSTM in plain C: four gates of every cell, then the cells, step by step, the states where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import Graph, Op
from ..lstm import GATE_BITS, Sums, lstm_of
from .base import KernelCall
from .parameters import KernelParameters, code, data, packed_weights, size


@dataclass(frozen=True, eq=False)
class UnidirectionalSequenceLstm(KernelParameters):
    """Arrays go gate by gate: input, forget, cell, output.

    sums     of each cell what is added to its two sums
    factors  of each gate multiplier and shift of the data's sums, then of the hidden state's
    """

    template: ClassVar[str] = "unidirectional_sequence_lstm"
    shown: ClassVar[Mapping[str, str]] = {"c": "cells"}

    gate_bits: int = code()
    cell_bits: int = code()
    has_clip: bool = code()
    cells: int = size(inner=True)
    two_cells: int = size(inner=True)
    three_cells: int = size(inner=True)
    c_in: int = size(inner=True)
    steps: int = data()
    cell_clip: int = data()
    output_multiplier: int = data()
    output_shift: int = data()
    output_zero_point: int = data()
    weights: npt.NDArray[np.int8] = packed_weights()
    recurrent_weights: npt.NDArray[np.int8] = packed_weights()
    sums: npt.NDArray[np.int32] = packed_weights()
    factors: npt.NDArray[np.int32] = packed_weights()

    @property
    def stored(self) -> str:
        return "int8"

    @property
    def summary(self) -> str:
        return "LSTM: for each step the four gates of all cells in int16, then cell and hidden state in their places."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a UNIDIRECTIONAL_SEQUENCE_LSTM."""
    numbers = lstm_of(op, graph)
    data_sums, hidden_sums = [gate.data for gate in numbers.gates], [gate.hidden for gate in numbers.gates]

    def joined(sums: list[Sums]) -> npt.NDArray[np.int8]:
        return np.concatenate([part.weights.reshape(-1) for part in sums])

    added = np.stack([np.concatenate([part.bias for part in sums]) for sums in (data_sums, hidden_sums)], axis=1)
    multipliers = [sums.multiplier for gate in numbers.gates for sums in (gate.data, gate.hidden)]
    factors = [v for each in multipliers for v in (each.multiplier, each.shift)]
    cells = numbers.cells
    parameters = UnidirectionalSequenceLstm(
        GATE_BITS,
        numbers.cell_bits,
        numbers.cell_clip > 0,
        cells,
        2 * cells,
        3 * cells,
        numbers.c_in,
        numbers.steps,
        numbers.cell_clip,
        numbers.output.multiplier,
        numbers.output.shift,
        numbers.output_zero_point,
        joined(data_sums),
        joined(hidden_sums),
        added.astype(np.int32).reshape(-1),
        np.array(factors, np.int32),
    )
    states = op.inputs[1:3]
    return KernelCall(
        parameters,
        op.inputs[:3],
        op.outputs,
        scratch_bytes=4 * cells * 2,
        in_place=dict(zip(op.outputs[1:], states, strict=True)),
    )
