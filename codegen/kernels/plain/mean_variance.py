"""MEAN, SQUARED_DIFFERENCE and MEAN of a map in plain C, one channel at a time: the squared map never exists.

Where the map needs no rounding of its own on the squares' input scale, a difference is d = 64 * (x - z) - centre, |d| < 2^14, and

    squared difference = sat8((floor(d^2 * multiplier / 2^32) + offset) >> right)

for an offset that is proven over all values and all means that the map can have. Where the core multiplies into 32 bits alone,
d^2 and the multiplier are cut into 14 bits and the rest; the product of the two lower pieces is left out, which the offset makes
up for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...build import Build
from ...fixed_point import mean_multiplier, requantize, squared_difference_multipliers
from ...ir import FusedAttrs, Graph, Op, Tensor
from .. import mean_variance
from ..base import KernelCall
from ..exact import INT8_VALUES, offset_interval
from ..mean_variance import MeanVarianceForm, reachable_means
from ..parameters import array, code, data, size
from ..rescale import Rescale, rescale
from ..squared_difference import rescaled_inputs
from .scaling import value_scaling

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

SQUARE_BITS = 14  # of the lower pieces


@dataclass(frozen=True, eq=False)
class MeanVariance(MeanVarianceForm):
    """Mean and variance of each channel of a map [pixels, channels].

    mean_words, variance_words  what the sums begin with, and the words of their scale
    centre_words  offset of the mean, and the words of its scale as a centre;  zero_term  what is added to that
    """

    template: ClassVar[str] = "plain/mean_variance"
    arithmetic: ClassVar[str] = "arithmetic"

    has_table: bool = code()
    in_pieces: bool = code()
    mean_rounding: str = code()
    centre_rounding: str = code()
    variance_rounding: str = code()
    channels: int = size()
    pixels: int = size()
    multiplier: int = data()
    lower: int | None = data()
    offset: int = data()
    right: int = size()
    zero_term: int = data()
    mean_words: Int32 = array()
    centre_words: Int32 = array()
    variance_words: Int32 = array()


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call that writes the mean and the variance of each channel of [1, H, W, C]."""
    assert isinstance(op.attrs, FusedAttrs)
    mean_op, square_op, _ = op.attrs.body
    source, mean, square = (graph.tensor(n) for n in (mean_op.inputs[0], mean_op.output, square_op.output))
    variance = graph.tensor(op.attrs.body[-1].output)
    channels, isa, costs = source.shape[-1], build.isa, build.costs
    pixels = source.num_elements // channels
    factor = mean_multiplier(source.scale, mean.scale, pixels)
    found = _fit(source, mean, square, reachable_means(source, mean, pixels, factor), in_pieces=not isa.long_multiply)
    if found is None:
        return mean_variance.select(op, graph, build)
    reach = 255 * pixels
    to_mean = value_scaling(rescale(factor, reach, mean.zero_point), reach, -pixels * source.zero_point, isa)
    last = mean_multiplier(square.scale, variance.scale, pixels)
    to_variance = value_scaling(rescale(last, reach, variance.zero_point), reach, -pixels * square.zero_point, isa)
    input2 = squared_difference_multipliers(source.scale, mean.scale, square.scale).input2
    right = -input2.shift
    rounds_twice = "ft_scale_away" if right else "ft_scale_up"
    centre = Rescale(rounds_twice, 1, input2.multiplier, 1 << right >> 1, right)
    to_centre = value_scaling(centre, 255 * 128, -mean.zero_point, isa)
    has_table = costs.square_lookup + costs.square_table / pixels < costs.square_lanes
    parameters = MeanVariance(
        has_table=has_table,
        in_pieces=not isa.long_multiply,
        mean_rounding=to_mean.rounding,
        centre_rounding=to_centre.rounding,
        variance_rounding=to_variance.rounding,
        channels=channels,
        pixels=pixels,
        multiplier=found.multiplier,
        lower=None if isa.long_multiply else found.lower,
        offset=found.offset,
        right=found.right,
        zero_term=64 * source.zero_point,
        mean_words=to_mean.words,
        centre_words=to_centre.words,
        variance_words=to_variance.words,
    )
    return KernelCall(
        parameters,
        (source.name,),
        tuple(op.outputs),
        scratch_bytes=256 if has_table else 0,
        accumulator=(pixels * (-128 - source.zero_point), pixels * (127 - source.zero_point)),
    )


@dataclass(frozen=True)
class _Square:
    """The numbers of the module's formula."""

    multiplier: int
    lower: int
    offset: int
    right: int


def _fit(source: Tensor, mean: Tensor, square: Tensor, means: Int64, in_pieces: bool) -> _Square | None:
    """The formula, when the map needs no rounding of its own and it reproduces every case; the mean's scale is not finer."""
    terms, all_centres, factor = rescaled_inputs(source, mean, square)
    input2 = squared_difference_multipliers(source.scale, mean.scale, square.scale).input2
    if input2.shift > 0 or input2.shift < -15 or not np.array_equal(terms, 64 * (INT8_VALUES - source.zero_point)):
        return None
    differences = terms[:, np.newaxis] - all_centres[means + 128][np.newaxis, :]
    squares = differences**2
    expected = np.clip(requantize(squares, factor.multiplier, factor.shift) + square.zero_point, -128, 127)
    real = math.ldexp(factor.multiplier, factor.shift - 31)
    bits = 2 * SQUARE_BITS if in_pieces else 32
    largest = max(int(squares.max()), 1)
    right = min(
        math.floor(math.log2((1 << 29) / (real * largest))), math.floor(math.log2((1 << bits - 1) / (real * (1 << bits))))
    )
    if not 1 <= right <= 21 or largest >= 1 << 28:
        return None
    whole = round(real * (1 << right + bits))
    multiplier, lower = (whole >> SQUARE_BITS, whole & ((1 << SQUARE_BITS) - 1)) if in_pieces else (whole, 0)
    if in_pieces:
        upper, low = squares >> SQUARE_BITS, squares & ((1 << SQUARE_BITS) - 1)
        scaled = upper * multiplier + (upper * lower + low * multiplier >> SQUARE_BITS)
    else:
        scaled = squares * multiplier >> 32
    first, last = offset_interval(scaled, expected, right)
    offset = (first + last) // 2
    if first > last or not np.array_equal(np.clip(scaled + offset >> right, -128, 127), expected):
        return None
    return _Square(multiplier, lower, offset, right) if int(scaled.max()) + abs(offset) < 1 << 31 else None
