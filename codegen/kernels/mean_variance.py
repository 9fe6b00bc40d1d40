"""MEAN, SQUARED_DIFFERENCE and MEAN of a map in one kernel: the squared map never exists.

Once a channel's mean is known its squared difference is a function of the int8 value alone. On the squares' input scale
the map's value is 64 * (x - z) and the mean is a constant, `centre`. With the root of the squares' real factor in the
constants a difference's own high product is its requantized square:

    root = 2^38 * sqrt(factor),  e = (root * x >> 8) - (root * centre >> 14)
    squared difference = sat8(((e * e >> 32) + offset) >> 16)

for constants that are proven over all values and all means that the map can have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import Multiplier, mean_multiplier, requantize, squared_difference_multipliers
from ..ir import FusedAttrs, Graph, Op, Tensor
from .base import KernelCall
from .exact import INT8_VALUES, offset_interval
from .parameters import KernelParameters, array, code, data, group, size
from .rescale import RescaleParameters, rescale
from .squared_difference import rescaled_inputs
from .table import by_unsigned_byte
from .turns import Turns, in_turns

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LANE_VALUES = 255  # int8 values that an int16 lane can sum


class MeanVarianceForm(KernelParameters):
    """How a function is called and described that computes means and variances, whatever it is written in."""

    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}
    arithmetic: ClassVar[str]
    has_table: bool

    @property
    def name(self) -> str:
        return "mean_variance_by_table" if self.has_table else "mean_variance"

    @property
    def summary(self) -> str:
        how = "a lookup table, made once its mean is known" if self.has_table else self.arithmetic
        return (
            "Mean and variance of each channel over all pixels, each step rounded to int8. A channel's squared differences come "
            f"from {how}."
        )


@dataclass(frozen=True, eq=False)
class MeanVariance(MeanVarianceForm):
    """Mean and variance of each channel of a map [pixels, channels].

    is_fitted           whether the squares come from the module's formula, or from tables of both inputs
    is_one_block        whether int16 lanes hold a channel's squares of all pixels
    table_turns         of a channel's pixels, where its squares come from a table
    steps, turns, rest  pixels in one turn, turns and single pixels behind them, of four channels in lanes
    block_turns         that int16 lanes hold, rest included
    groups, rest_begin  of four channels in lanes; the first of the other channels
    """

    template: ClassVar[str] = "mean_variance"
    arithmetic: ClassVar[str] = "arithmetic in lanes"

    has_table: bool = code()
    is_fitted: bool = code()
    is_one_block: bool = code()
    channels: int = size()
    pixels: int = size()
    table_turns: Turns | None = group()
    steps: int = code()
    block_turns: int = code()
    turns: int | None = size()
    rest: int | None = size()
    groups: int | None = size()
    rest_begin: int | None = size()
    mean_constants: Int32 = array()
    variance_constants: Int32 = array()
    root: int | None = data()
    square_offset: int | None = data()
    centre_constants: Int32 | None = array()
    square: RescaleParameters | None = group()
    terms: npt.NDArray[np.integer] | None = array()
    centres: npt.NDArray[np.integer] | None = array()


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call that writes the mean and the variance of each channel of [1, H, W, C]."""
    assert isinstance(op.attrs, FusedAttrs)
    mean_op, square_op, _ = op.attrs.body
    source, mean, square = (graph.tensor(n) for n in (mean_op.inputs[0], mean_op.output, square_op.output))
    variance = graph.tensor(op.attrs.body[-1].output)
    num_channels = source.shape[-1]
    pixels = source.num_elements // num_channels
    mean_factor = mean_multiplier(source.scale, mean.scale, pixels)
    means = reachable_means(source, mean, pixels, mean_factor)
    first = rescale(mean_factor, 255 * pixels, mean.zero_point)
    last = rescale(mean_multiplier(square.scale, variance.scale, pixels), 255 * pixels, variance.zero_point)
    squares = _fit(source, mean, square, means) or _general(source, mean, square)
    costs = build.costs
    has_table = squares.is_general or costs.square_lookup + costs.square_table / pixels < costs.square_lanes
    grouped = 0 if has_table else num_channels // 4 * 4
    steps = 2 if build.level.merges_inner else 7 if pixels % 7 == 0 else 8
    block_turns = (LANE_VALUES - steps + 1) // steps
    parameters = MeanVariance(
        has_table=has_table,
        is_fitted=not squares.is_general,
        is_one_block=not (has_table or build.level.merges_inner) and pixels // steps <= block_turns,
        channels=num_channels,
        pixels=pixels,
        table_turns=in_turns(pixels, 8 if build.level.merges_inner else 16) if has_table else None,
        steps=0 if has_table else steps,
        block_turns=0 if has_table else block_turns,
        turns=pixels // steps if grouped else None,
        rest=pixels % steps if grouped else None,
        groups=grouped // 4 or None,
        rest_begin=grouped if not has_table and grouped < num_channels else None,
        mean_constants=first.constants(-pixels * source.zero_point),
        variance_constants=last.constants(-pixels * (square.zero_point + (128 if has_table else 0))),
        root=squares.root,
        square_offset=squares.offset,
        centre_constants=squares.centre_constants,
        square=squares.requant,
        terms=squares.terms,
        centres=squares.centres,
    )
    return KernelCall(
        parameters,
        (source.name,),
        tuple(op.outputs),
        scratch_bytes=256 if has_table else 0,
        accumulator=(pixels * (-128 - source.zero_point), pixels * (127 - source.zero_point)),
    )


def reachable_means(source: Tensor, mean: Tensor, pixels: int, factor: Multiplier) -> Int64:
    """Every int8 mean between those of the lowest and of the highest map."""
    extremes = pixels * (np.array([-128, 127]) - source.zero_point)
    low, high = np.clip(requantize(extremes, factor.multiplier, factor.shift) + mean.zero_point, -128, 127)
    return np.arange(low, high + 1, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Squares:
    """How the kernel makes squared differences: the numbers of the module's formula, or general tables."""

    root: int | None = None
    offset: int | None = None
    centre_constants: Int32 | None = None
    requant: RescaleParameters | None = None
    terms: npt.NDArray[np.int16] | None = None
    centres: npt.NDArray[np.int16] | None = None

    @property
    def is_general(self) -> bool:
        return self.terms is not None


def _fit(source: Tensor, mean: Tensor, square: Tensor, means: Int64) -> _Squares | None:
    """The short formula, when the map needs no rounding of its own and it reproduces every case."""
    terms, all_centres, factor = rescaled_inputs(source, mean, square)
    if not np.array_equal(terms, 64 * (INT8_VALUES - source.zero_point)):
        return None
    centres = all_centres[means + 128] + 64 * source.zero_point
    squared = (64 * INT8_VALUES[:, np.newaxis] - centres[np.newaxis, :]) ** 2
    expected = np.clip(requantize(squared, factor.multiplier, factor.shift) + square.zero_point, -128, 127)
    formula = _formula(centres, expected, factor)
    if formula is None:
        return None
    root, offset = formula
    return _Squares(root, offset, _centre_constants(source, mean, square))


def _centre_constants(source: Tensor, mean: Tensor, square: Tensor) -> Int32:
    """What ft_rooted takes."""
    factor = squared_difference_multipliers(source.scale, mean.scale, square.scale).input2
    shift = -factor.shift
    values = [-mean.zero_point, factor.multiplier, 1 << shift >> 1, shift, -1 if shift else 0, 64 * source.zero_point]
    return np.array(values, np.int32)


def _general(source: Tensor, mean: Tensor, square: Tensor) -> _Squares:
    """Both rescaled inputs from tables, and the exact requantization: for a mean that is coarser than its map."""
    terms, centres, factor = rescaled_inputs(source, mean, square)
    largest = int(max(abs(terms.max() - centres.min()), abs(centres.max() - terms.min()))) ** 2
    tables = (by_unsigned_byte(values.astype(np.int16)) for values in (terms, centres))
    return _Squares(None, None, None, rescale(factor, largest, square.zero_point).parameters, *tables)


def _formula(centres: Int64, expected: Int64, factor: Multiplier) -> tuple[int, int] | None:
    """Root and offset of the module's formula with the result expected[x + 128, centre], or None.

    The result lies in the upper half of the word: two are packed and saturated at a time. A table holds the result plus 128,
    an unsigned byte.
    """
    exact = math.sqrt(math.ldexp(factor.multiplier, factor.shift - 31))
    for nudge in sorted(range(-400, 401, 20), key=abs):
        root = round(exact * (1 << 38)) + nudge
        differences = (root * INT8_VALUES >> 8)[:, np.newaxis] - (root * centres >> 14)[np.newaxis, :]
        if not 0 <= root < 1 << 31 or int(np.abs(differences).max()) >= 1 << 31:
            return None
        scaled = differences * differences >> 32
        first, last = offset_interval(scaled, expected, 16)
        offset = (first + last) // 2
        if first <= last and int(scaled.max()) + abs(offset) + (128 << 16) < 1 << 31:
            return root, offset
    return None
