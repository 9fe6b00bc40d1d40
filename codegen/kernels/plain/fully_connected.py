"""FULLY_CONNECTED in plain C, with or without an activation table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...build import Build
from ...ir import Graph, Op, Window
from ..base import KernelCall
from ..convolution import convolution
from ..im2col import window_schedule
from ..parameters import KernelParameters, code, group, size
from .products import Outputs, Products, outputs, products


@dataclass(frozen=True, eq=False)
class FullyConnected(KernelParameters):
    """The parameters of plain/fully_connected; `rows` is None where there is one."""

    template: ClassVar[str] = "plain/fully_connected"
    shown: ClassVar[Mapping[str, str]] = {"c": "c_in"}

    is_single: bool = code()
    has_rest: bool = code()
    rows: int | None = size()
    c_in: int = size()
    c_out: int = size()
    products: Products = group()
    outputs: Outputs = group()

    @property
    def stored(self) -> str:
        return "int8"

    @property
    def summary(self) -> str:
        rows = "The row is" if self.is_single else f"{self.products.pixels} rows at a time are"
        return f"Fully connected: {rows} copied into scratch and multiplied with {self.products.lanes} outputs at a time."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a FULLY_CONNECTED, alone or with the table of its activation."""
    conv = convolution(op, graph)
    c_out, c_in = conv.weights.shape
    rows = math.prod(conv.output_shape) // c_out
    made, scale = products(conv, rows, build.isa, once=True)
    parameters = FullyConnected(
        rows == 1, rows % made.pixels > 0, rows if rows > 1 else None, c_in, c_out, made, outputs(conv, scale)
    )
    return KernelCall(
        parameters,
        (op.inputs[0],),
        op.outputs,
        scratch_bytes=made.depth * made.pixels,
        sharing={op.inputs[0]: window_schedule((rows, 1, c_in), (rows, 1), c_out, Window(1, 1), made.pixels)},
        accumulator=(scale.low, scale.high),
    )
