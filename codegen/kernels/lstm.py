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

_ORDER = (0, 1, 3, 2)  # of the gates in memory: input where there is one, forget, output, cell
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
    """Gates lie one after the other: input where there is one, forget, output, cell, each of an even number of int16.

    in_lanes   whether the rows are multiplied in lanes, ..
    is_packed  .. each two of them in common words, ..
    vectors    .. and of how many steps at once
    shifted    whether plain C has its weights + 128, ..
    rounding, output_rounding  .. and how it rescales; "" in lanes
    stride     from gate to gate
    before_output  sigmoids before the output gate
    projected      int16 of a projection's sums, an even number
    exponentials   in [-1/4, 0), see lstm.h
    norm_weights, norm_bias, norm_scale  of all gates in their order, see layer_norm.h
    peepholes      weights of input, forget and output gate, [cells] each, and multiplier and shift of each
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
    has_input_gate: bool = code()
    has_peepholes: bool = code()
    has_projection: bool = code()
    has_norm: bool = code()
    has_clip: bool = code()
    has_output_clip: bool = code()
    cells: int = size(inner=True)
    units: int = size(inner=True)
    cell_bytes: int = size()
    stride: int = size(inner=True)
    before_output: int = size()
    sigmoids: int = size()
    gates: int = size()
    projected: int | None = size()
    column_bytes: int = size()
    c_in: int = size()
    steps: int = size()
    cell_clip: int | None = data()
    output_multiplier: int = data()
    output_half: int = data()
    output_shift: int = data()
    output_zero_point: int = data()
    norm_share: int | None = data()
    projection_zero_point: int | None = data()
    output_clip: int | None = data()
    exponentials: npt.NDArray[np.int16] | None = array()
    peepholes: npt.NDArray[np.int16] | None = array()
    peephole_scale: npt.NDArray[np.int32] | None = array()
    norm_weights: npt.NDArray[np.int16] | None = array()
    norm_bias: npt.NDArray[np.int32] | None = array()
    norm_scale: npt.NDArray[np.int32] | None = array()
    given: GateRows = group()
    fed: GateRows = group()
    projection: GateRows | None = group()

    @property
    def summary(self) -> str:
        steps = f", of {self.vectors} steps at once for the data" if self.vectors > 1 else ""
        gates = "four" if self.has_input_gate else "three"
        end = ", projected" if self.has_projection else ""
        return f"LSTM: for each step the {gates} gates of all cells in int16{steps}, then both states in their places{end}."

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
    columns = parameters.column_bytes
    if parameters.projected is not None:
        columns += 2 * parameters.projected + numbers.cells
    return KernelCall(
        parameters,
        op.inputs[:3],
        op.outputs,
        scratch_bytes=2 * parameters.gates * parameters.vectors + columns,
        in_place=dict(zip(op.outputs[1:], op.inputs[1:3], strict=True)),
    )


def _parameters(numbers: Lstm, build: Build) -> UnidirectionalSequenceLstm:
    gates = [gate for i in _ORDER if (gate := numbers.gates[i]) is not None]
    projection = [] if numbers.projection is None else [numbers.projection.sums]
    given, fed = [gate.data for gate in gates], [gate.hidden for gate in gates]
    scaled = [(part.multiplier, int(largest_sums([part]).max())) for part in (*given, *fed, *projection)]
    output = (numbers.output, _MOST_PRODUCT)
    in_lanes = build.isa is DSP and all(is_fast(*each) for each in (*scaled, output))
    packed = in_lanes and all(can_pack(part) for part in (given, fed, projection) if part)
    vectors, rounding, output_rounding = 1, "", ""
    functions: tuple[GateFunction | None, ...] = (None, None, None)
    projected: GateRows | None = None
    if in_lanes:
        vectors = _steps_at_once(numbers.steps, build)
        most = build.level.unroll_pairs // 2
        rows = [rows_in_lanes(given, packed, vectors, most), rows_in_lanes(fed, packed, 1, most)]
        projected = rows_in_lanes(projection, packed, 1, most) if projection else None
        scale: tuple[int, ...] = short_scale(numbers.output)
        functions = _functions(numbers, build)
    else:
        rounding, output_rounding = plain_rounding(scaled, build.isa), plain_rounding([output], build.isa)
        rows = [rows_in_plain_c(part, build.isa, rounding) for part in (given, fed)]
        projected = rows_in_plain_c(projection, build.isa, rounding) if projection else None
        scale = plain_scale(numbers.output, output_rounding)
    stride = even(numbers.cells)
    multiplier, half, shift = scale
    peepholes = [gate.peephole for gate in gates if gate.peephole is not None]
    factors = [number for each in peepholes for number in (each.multiplier.multiplier, each.multiplier.shift)]
    norms = [gate.norm for gate in gates if gate.norm is not None]
    norm_scale = [word for n in norms for word in (n.multiplier.multiplier, n.multiplier.shift, n.least_variance)]
    end = numbers.projection
    projected_rows = [] if projected is None else [projected]
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
        has_input_gate=numbers.gates[0] is not None,
        has_peepholes=bool(peepholes),
        has_projection=end is not None,
        has_norm=bool(norms),
        has_clip=numbers.cell_clip > 0,
        has_output_clip=end is not None and end.clip > 0,
        cells=numbers.cells,
        units=numbers.units,
        cell_bytes=2 * numbers.cells,
        stride=stride,
        before_output=(len(gates) - 2) * stride,
        sigmoids=(len(gates) - 1) * stride,
        gates=len(gates) * stride,
        projected=None if end is None else even(numbers.units),
        column_bytes=(8 if in_lanes else 4) * max(vectors * rows[0].fours, *(each.fours for each in (*rows, *projected_rows))),
        c_in=numbers.c_in,
        steps=numbers.steps,
        cell_clip=numbers.cell_clip or None,
        output_multiplier=multiplier,
        output_half=half,
        output_shift=shift,
        output_zero_point=numbers.output_zero_point,
        projection_zero_point=None if end is None else end.zero_point,
        output_clip=end.clip if end is not None and end.clip else None,
        peepholes=np.concatenate([each.weights for each in peepholes]).astype(np.int16) if peepholes else None,
        peephole_scale=np.array(factors, np.int32) if peepholes else None,
        norm_share=norms[0].share if norms else None,
        norm_weights=np.concatenate([each.weights for each in norms]).astype(np.int16) if norms else None,
        norm_bias=np.concatenate([each.bias for each in norms]).astype(np.int32) if norms else None,
        norm_scale=np.array(norm_scale, np.int32) if norms else None,
        projection=projected,
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
