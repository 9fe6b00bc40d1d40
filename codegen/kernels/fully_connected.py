"""FULLY_CONNECTED, with or without an activation table: a pointwise convolution over its rows that rounds once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op
from .base import KernelCall
from .convolution import Convolution, convolution
from .gemm import Gemm, GemmKernel, own_function, pack_weights, row_gemm
from .im2col import pair_order
from .parameters import KernelParameters, group, size
from .pointwise import pointwise


@dataclass(frozen=True, eq=False)
class FullyConnectedRow(KernelParameters):
    """Parameters of `fully_connected_row.c.j2`: one row, read in place."""

    template: ClassVar[str] = "fully_connected_row"
    shown: ClassVar[Mapping[str, str]] = {"c": "input_channels", "to": "gemm_stride"}

    input_channels: int = size()
    gemm: Gemm = group()

    @property
    def summary(self) -> str:
        return "Fully connected. Four values of the row at a time become int16 pairs, for two output channels: no scratch."

    @property
    def stored(self) -> str:
        return self.gemm.stored

    @property
    def helpers(self) -> tuple[GemmKernel, ...]:
        return (self.gemm.kernel,)


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a FULLY_CONNECTED, alone or with the table of its activation."""
    conv = convolution(op, graph)
    rows = math.prod(conv.output_shape) // conv.weights.shape[0]
    if rows == 1 and build.in_place:
        return _row_call(conv, op, build)
    return pointwise(conv, "fully_connected", rows, op, build, once=True)


def _row_call(conv: Convolution, op: Op, build: Build) -> KernelCall:
    c_in = conv.weights.shape[1]
    packed = pack_weights(conv, pair_order(c_in, 1, joined=False), 1, build, once=True)
    product, own = row_gemm(conv, packed, build)
    parameters = FullyConnectedRow(c_in, product)
    return KernelCall(
        parameters,
        (op.inputs[0],),
        op.outputs,
        accumulator=packed.accumulator,
        own=own_function(replace(parameters, gemm=own), product.kernel, own.kernel, conv.weights.shape[0] // 2, build),
    )
