"""SOFTMAX over the last axis: exponentials from a table, one reciprocal a row (gemmlowp's fixed point)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import softmax_exp_table
from ..ir import Graph, Op, SoftmaxAttrs
from .base import KernelCall, elementwise_schedule
from .parameters import KernelParameters, array, code, data, size

MAX_STRAIGHT = 6  # elements of a row that are held in registers


@dataclass(frozen=True, eq=False)
class Softmax(KernelParameters):
    """Rows of `depth`; `straight` of them in code without a loop, 0: in a loop.

    exponentials  int32[256], Q31, by max - x
    """

    template: ClassVar[str] = "softmax"
    shown: ClassVar[Mapping[str, str]] = {"c": "depth"}
    depth: int = size()
    straight: int = code()
    rows: int = data()
    exponentials: npt.NDArray[np.int32] = array()

    @property
    def summary(self) -> str:
        return (
            "Softmax: exponentials in Q31 from a lookup table over max - x, their sum in Q12.19, its reciprocal by three "
            "Newton steps (gemmlowp's fixed point). A factor f in [1/2, 1) of a rounded high multiply is held as 2 * (f - 1): "
            "then f * x = x + (f - 1) * x is one multiply-accumulate, ft_smmlar(factor, x, x)."
        )


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a SOFTMAX; each row is read wholly before it is written."""
    assert isinstance(op.attrs, SoftmaxAttrs)
    source = graph.tensor(op.inputs[0])
    depth = source.shape[-1] if source.shape else 1
    exponentials = softmax_exp_table(source.scale, op.attrs.beta)
    return KernelCall(
        Softmax(depth, depth if depth <= MAX_STRAIGHT else 0, source.num_elements // depth, exponentials),
        (source.name,),
        (op.output,),
        sharing={source.name: elementwise_schedule(source.num_elements)},
    )
