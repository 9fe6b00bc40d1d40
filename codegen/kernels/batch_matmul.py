"""BATCH_MATMUL of two maps, or of a map and a constant: a sum of products an element, in plain C."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import matmul_multiplier
from ..ir import Graph, MatMulAttrs, Op
from .base import KernelCall
from .broadcast import broadcast_nest
from .parameters import KernelParameters, array, code, data, size


@dataclass(frozen=True, eq=False)
class BatchMatmul(KernelParameters):
    """Matrices of `rows` by `depth` and `depth` by `columns`, elements apart as the steps say, for each of the batches' `sizes`.

    constant  which operand is one, -1: none
    """

    template: ClassVar[str] = "batch_matmul"
    sizes: tuple[int, ...] = size()
    strides0: tuple[int, ...] = size()
    strides1: tuple[int, ...] = size()
    rows: int = size()
    columns: int = size()
    depth: int = size(inner=True)
    row_step: int = size()
    step0: int = size(inner=True)
    column_step: int = size()
    step1: int = size(inner=True)
    constant: int = code()
    zero0: int = data()
    zero1: int = data()
    zero_point: int = data()
    multiplier: int = data()
    shift: int = data()
    operand: npt.NDArray[np.int8] | None = array()

    @property
    def summary(self) -> str:
        return f"Products of matrices{', one of them constant' if self.constant >= 0 else ''}."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a BATCH_MATMUL; batches are broadcast as NumPy does."""
    assert isinstance(op.attrs, MatMulAttrs)
    left, right, output = (graph.tensor(name) for name in (*op.inputs, op.output))
    rows, columns = output.shape[-2:]
    depth = left.shape[-2 if op.attrs.adj_x else -1]
    nest = broadcast_nest(left.shape[:-2], right.shape[:-2])
    sizes, outer0, outer1 = nest.sizes, nest.strides0, nest.strides1
    if nest.run > 1:
        sizes, outer0, outer1 = (*sizes, nest.run), (*outer0, nest.step0), (*outer1, nest.step1)
    factor = matmul_multiplier(left.scale, right.scale, output.scale)
    constant = 0 if left.is_constant else 1 if right.is_constant else -1
    largest = depth * math.prod(max(127 - t.zero_point, 128 + t.zero_point) for t in (left, right))
    parameters = BatchMatmul(
        sizes=sizes,
        strides0=tuple(step * rows * depth for step in outer0),
        strides1=tuple(step * depth * columns for step in outer1),
        rows=rows,
        columns=columns,
        depth=depth,
        row_step=1 if op.attrs.adj_x else depth,
        step0=rows if op.attrs.adj_x else 1,
        column_step=depth if op.attrs.adj_y else 1,
        step1=1 if op.attrs.adj_y else columns,
        constant=constant,
        zero0=left.zero_point,
        zero1=right.zero_point,
        zero_point=output.zero_point,
        multiplier=factor.multiplier,
        shift=factor.shift,
        operand=None if constant < 0 else (left, right)[constant].constant().reshape(-1).astype(np.int8),
    )
    inputs = tuple(tensor.name for tensor in (left, right) if not tensor.is_constant)
    return KernelCall(parameters, inputs, (op.output,), accumulator=(-largest, largest))
