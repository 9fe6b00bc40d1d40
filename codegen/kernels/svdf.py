"""SVDF: the data's sums become each filter's newest value, the older ones move by one on the way to the output's sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import DSP, Build
from ..ir import Graph, Op
from ..svdf import svdf_of
from .base import KernelCall
from .gate_rows import GateRows, can_pack, even, is_fast, largest_sums, plain_rounding, rows_in_lanes, rows_in_plain_c
from .parameters import KernelParameters, array, code, data, group, size


@dataclass(frozen=True, eq=False)
class Svdf(KernelParameters):
    """A filter's memory lies from its oldest value on.

    in_lanes, is_packed, shifted, rounding  of the data's rows, as those of an LSTM
    stride       filters, an even number
    pairs, rest  older values that stay: in twos, and one more where there is one
    memory       values of a filter
    """

    template: ClassVar[str] = "svdf"
    shown: ClassVar[Mapping[str, str]] = {"c": "c_in", "to": "units"}

    in_lanes: bool = code()
    is_packed: bool = code()
    shifted: bool = code()
    rounding: str = code()
    rest: int = code()
    c_in: int = size()
    units: int = size()
    rank: int = size()
    stride: int = size()
    state_bytes: int = size()
    pairs: int = size(inner=True)
    memory: int = size()
    output_multiplier: int = data()
    output_shift: int = data()
    output_zero_point: int = data()
    taps: npt.NDArray[np.int16] = array()
    bias: npt.NDArray[np.int32] = array()
    newest: GateRows = group()

    @property
    def summary(self) -> str:
        return "SVDF: each filter's newest value in int16, then the sums over its memory, which moves by one in its place."

    @property
    def stored(self) -> str:
        return "int16" if self.in_lanes and not self.is_packed else "int8"


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of an SVDF."""
    numbers = svdf_of(op, graph)
    groups = [numbers.newest]
    scaled = (numbers.newest.multiplier, int(largest_sums(groups).max()))
    in_lanes = build.isa is DSP and is_fast(*scaled)
    packed = in_lanes and can_pack(groups)
    rounding = "" if in_lanes else plain_rounding([scaled], build.isa)
    if in_lanes:
        rows = rows_in_lanes(groups, packed, 1, build.level.unroll_pairs // 2)
    else:
        rows = rows_in_plain_c(groups, build.isa, rounding)
    filters, memory = numbers.taps.shape
    stride = even(filters)
    parameters = Svdf(
        in_lanes=in_lanes,
        is_packed=packed,
        shifted=not in_lanes and not build.isa.loads_signed,
        rounding=rounding,
        rest=(memory - 1) % 2,
        c_in=numbers.newest.weights.shape[1],
        units=filters // numbers.rank,
        rank=numbers.rank,
        stride=stride,
        state_bytes=2 * filters * memory,
        pairs=(memory - 1) // 2,
        memory=memory,
        output_multiplier=numbers.output.multiplier,
        output_shift=numbers.output.shift,
        output_zero_point=numbers.output_zero_point,
        taps=numbers.taps.astype(np.int16).reshape(-1),
        bias=numbers.bias.astype(np.int32),
        newest=rows,
    )
    return KernelCall(
        parameters,
        op.inputs[:2],
        op.outputs,
        scratch_bytes=2 * stride + (8 if in_lanes else 4) * rows.fours,
        in_place={op.outputs[1]: op.inputs[1]},
    )
