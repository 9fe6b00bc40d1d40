"""Requantization of one value at a time (means, variances): which C function of the intrinsics does it exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..fixed_point import Multiplier
from .exact import MAX_RIGHT
from .parameters import code, data

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class RescaleParameters:
    """A group of parameters: `rescaled(s.<group>, value)` in a template."""

    function: str = code()
    doubled: int = code()
    multiplier: int = data()
    zero: int = data()
    shift: int = data()


@dataclass(frozen=True)
class Rescale:
    """`function(acc << doubled, multiplier, offset, shift)` gives the saturated int8."""

    function: str
    doubled: int
    multiplier: int
    offset: int
    shift: int

    @property
    def parameters(self) -> RescaleParameters:
        """Code and numbers of one rescaled value."""
        return RescaleParameters(self.function, self.doubled, self.multiplier, self.offset, self.shift)

    def constants(self, sum_offset: int) -> Int32:
        """The array that ft_store_scaled of templates/kernels/channel_statistics.h takes."""
        is_exact = self.function != "ft_scale_away"
        return np.array([sum_offset << self.doubled, self.multiplier, self.offset, self.shift, is_exact], np.int32)


def rescale(factor: Multiplier, largest: int, zero_point: int) -> Rescale:
    """The fastest exact form for |acc| <= largest. Source of the forms: kernels/requantization.py."""
    right = -factor.shift
    if factor.multiplier == 0 or (right > 0 and largest < 1 << (right - 1)):
        return Rescale("ft_scale_away", 1, 0, 2 * zero_point + 1, 1)
    if 1 <= right <= MAX_RIGHT and largest < 1 << 30:
        return Rescale("ft_scale_away", 1, factor.multiplier, (1 << (right - 1)) + (zero_point << right), right)
    return Rescale("ft_scale_exact", 0, factor.multiplier, zero_point, factor.shift)
