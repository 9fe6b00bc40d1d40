"""A sum of two int8 values inside a kernel: the second half of ADD in a fused chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .add import Sum
from .exact import fit_affine
from .parameters import array, code, data, group
from .rescale import RescaleParameters
from .table import by_unsigned_byte

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class SumNumbers:
    """clamp((a * factor0 + bias + b * factor1) >> right, low, high), or table0[a] + table1[b], rescaled and clamped.

    table0, table1  int32[256] by unsigned byte: both on the sum's input scale
    """

    low: int = code()
    high: int = code()
    is_affine: bool = code()
    right: int = code()
    factor0: int | None = data()
    factor1: int | None = data()
    bias: int | None = data()
    requant: RescaleParameters | None = group()
    table0: Int32 | None = array()
    table1: Int32 | None = array()


def sum_numbers(sum_: Sum) -> SumNumbers:
    """The affine form of a sum where it is exact, otherwise its tables."""
    affine = fit_affine(sum_.expected, *sum_.reals, sum_.low, sum_.high, fraction=0)
    if affine is not None:
        factors = (affine.factor0, affine.factor1, affine.bias)
        return SumNumbers(sum_.low, sum_.high, True, affine.shift, *factors, None, None, None)
    table0, table1 = (by_unsigned_byte(term.astype(np.int32)) for term in sum_.terms)
    return SumNumbers(sum_.low, sum_.high, False, 0, None, None, None, sum_.requant.parameters, table0, table1)
