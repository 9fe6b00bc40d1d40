"""UNIDIRECTIONAL_SEQUENCE_LSTM: four gates of every cell, then the cells, step by step, the states where they lie.

With the DSP extension the data of a few steps are multiplied at once; the hidden state's products are added step by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import DSP, Build
from ..fixed_point_16 import exp_of_negative_16
from ..ir import Graph, Op
from ..lstm import GATE_BITS, Lstm, lstm_of
from .base import KernelCall
from .gate_rows import (
    GateRows,
    can_pack,
    even,
    is_fast,
    largest_sums,
    plain_rounding,
    plain_scale,
    rows_in_lanes,
    rows_in_plain_c,
    short_scale,
)
from .parameters import Helper, KernelParameters, array, code, data, group, size

_ORDER = (0, 1, 3, 2)  # of the gates in memory: input, forget, output, cell
_MOST_PRODUCT = 32767 * 32767  # of output gate and tanh
_TABLE_BITS, _TABLE_SIZE = 3, 1024  # of exponentials: integer bits of the values that it is made for; with more, every 2^n-th
_TABLE_GAIN = 16  # instructions less for each value


@dataclass(frozen=True)
class GateFunction(Helper):
    """The C function that computes "sigmoid" or "tanh" of all values of a gate.

    bits       integer bits of its values
    has_table  whether the exponential begins with a table
    """

    template: ClassVar[str] = "gate_function"

    function: str
    bits: int
    has_table: bool

    @property
    def name(self) -> str:
        return f"ft_{self.function}s_{self.bits}{'_table' * self.has_table}"

    @property
    def summary(self) -> str:
        return f"{self.function} of int16 values with {self.bits} integer bits, in Q0.15."


@dataclass(frozen=True, eq=False)
class UnidirectionalSequenceLstm(KernelParameters):
    """Gates lie one after the other: input, forget, output, cell, each of an even number of int16.

    in_lanes   whether the rows are multiplied in lanes, ..
    is_packed  .. each two of them in common words, ..
    vectors    .. and of how many steps at once
    shifted    whether plain C has its weights + 128, ..
    rounding, output_rounding  .. and how it rescales; "" in lanes
    stride     from gate to gate
    exponentials  in [-1/4, 0), see lstm.h
    """

    template: ClassVar[str] = "unidirectional_sequence_lstm"
    shown: ClassVar[Mapping[str, str]] = {"c": "cells"}

    in_lanes: bool = code()
    is_packed: bool = code()
    vectors: int = code()
    shifted: bool = code()
    rounding: str = code()
    output_rounding: str = code()
    sigmoid: GateFunction | None = code()
    tanh: GateFunction | None = code()
    cell_tanh: GateFunction | None = code()
    gate_bits: int = code()
    cell_bits: int = code()
    has_clip: bool = code()
    cells: int = size(inner=True)
    cell_bytes: int = size()
    stride: int = size(inner=True)
    sigmoids: int = size()
    gates: int = size()
    c_in: int = size()
    steps: int = size()
    cell_clip: int | None = data()
    output_multiplier: int = data()
    output_half: int = data()
    output_shift: int = data()
    output_zero_point: int = data()
    exponentials: npt.NDArray[np.int16] | None = array()
    given: GateRows = group()
    fed: GateRows = group()

    @property
    def summary(self) -> str:
        steps = f", of {self.vectors} steps at once for the data" if self.vectors > 1 else ""
        return f"LSTM: for each step the four gates of all cells in int16{steps}, then cell and hidden state in their places."

    @property
    def stored(self) -> str:
        return "int16" if self.in_lanes and not self.is_packed else "int8"

    @property
    def helpers(self) -> tuple[GateFunction, ...]:
        return tuple(dict.fromkeys(f for f in (self.sigmoid, self.tanh, self.cell_tanh) if f is not None))


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a UNIDIRECTIONAL_SEQUENCE_LSTM."""
    numbers = lstm_of(op, graph)
    parameters = _parameters(numbers, build)
    columns = (8 if parameters.in_lanes else 4) * max(parameters.vectors * parameters.given.fours, parameters.fed.fours)
    return KernelCall(
        parameters,
        op.inputs[:3],
        op.outputs,
        scratch_bytes=2 * parameters.gates * parameters.vectors + columns,
        in_place=dict(zip(op.outputs[1:], op.inputs[1:3], strict=True)),
    )


def _parameters(numbers: Lstm, build: Build) -> UnidirectionalSequenceLstm:
    gates = [numbers.gates[i] for i in _ORDER]
    given, fed = [gate.data for gate in gates], [gate.hidden for gate in gates]
    scaled = [(part.multiplier, int(largest_sums([part]).max())) for part in (*given, *fed)]
    output = (numbers.output, _MOST_PRODUCT)
    in_lanes = build.isa is DSP and all(is_fast(*each) for each in (*scaled, output))
    packed = in_lanes and can_pack(given) and can_pack(fed)
    vectors, rounding, output_rounding = 1, "", ""
    functions: tuple[GateFunction | None, ...] = (None, None, None)
    if in_lanes:
        vectors = _steps_at_once(numbers.steps, build)
        most = build.level.unroll_pairs // 2
        rows = [rows_in_lanes(given, packed, vectors, most), rows_in_lanes(fed, packed, 1, most)]
        scale: tuple[int, ...] = short_scale(numbers.output)
        functions = _functions(numbers, build)
    else:
        rounding, output_rounding = plain_rounding(scaled, build.isa), plain_rounding([output], build.isa)
        rows = [rows_in_plain_c(part, build.isa, rounding) for part in (given, fed)]
        scale = plain_scale(numbers.output, output_rounding)
    stride = even(numbers.cells)
    multiplier, half, shift = scale
    return UnidirectionalSequenceLstm(
        in_lanes=in_lanes,
        is_packed=packed,
        vectors=vectors,
        shifted=not in_lanes and not build.isa.loads_signed,
        rounding=rounding,
        output_rounding=output_rounding,
        sigmoid=functions[0],
        tanh=functions[1],
        cell_tanh=functions[2],
        gate_bits=GATE_BITS,
        cell_bits=numbers.cell_bits,
        has_clip=numbers.cell_clip > 0,
        cells=numbers.cells,
        cell_bytes=2 * numbers.cells,
        stride=stride,
        sigmoids=3 * stride,
        gates=4 * stride,
        c_in=numbers.c_in,
        steps=numbers.steps,
        cell_clip=numbers.cell_clip or None,
        output_multiplier=multiplier,
        output_half=half,
        output_shift=shift,
        output_zero_point=numbers.output_zero_point,
        exponentials=_exponentials() if any(function and function.has_table for function in functions) else None,
        given=rows[0],
        fed=rows[1],
    )


def _steps_at_once(steps: int, build: Build) -> int:
    """Of how many steps the data are multiplied together: 1, 2 or 4; one where memory or code counts most."""
    if build.level.saves_memory or build.level.merges_inner or steps == 1:
        return 1
    return 4 if steps >= 4 else 2


def _functions(numbers: Lstm, build: Build) -> tuple[GateFunction, ...]:
    """Of the first gates, of the cell gate, and of the cell state; with a table of exponentials where that pays."""
    gain = numbers.steps * numbers.cells * (len(_ORDER) + 1) * _TABLE_GAIN
    pays = build.level.wide_weights > 0 and gain >= build.level.wide_gain * 2 * _TABLE_SIZE
    bits = (("sigmoid", GATE_BITS), ("tanh", GATE_BITS), ("tanh", numbers.cell_bits))
    return tuple(GateFunction(name, n, pays and n + (name == "tanh") >= _TABLE_BITS) for name, n in bits)


def _exponentials() -> npt.NDArray[np.int16]:
    """exp(x) in Q0.15 for x from -1/4 on, in steps of 2^-12."""
    return exp_of_negative_16(np.arange(-_TABLE_SIZE, 0), _TABLE_BITS).astype(np.int16)
