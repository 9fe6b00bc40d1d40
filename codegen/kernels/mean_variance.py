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

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import Multiplier, mean_multiplier, requantize, squared_difference_multipliers
from ..ir import FusedAttrs, Graph, Op, Tensor
from .base import ConstArray, KernelCall, ShapeValue, untyped_call
from .broadcast import unroll
from .exact import INT8_VALUES, offset_interval
from .rescale import rescale
from .squared_difference import rescaled_inputs
from .table import by_unsigned_byte

Int64 = npt.NDArray[np.int64]

LANE_ROWS = 255  # int8 values that an int16 lane can sum
MAX_STEP_BYTES = 1020  # LDRD's own increment


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call that writes the mean and the variance of each channel of [1, H, W, C]."""
    assert isinstance(op.attrs, FusedAttrs)
    mean_op, square_op, _ = op.attrs.body
    source, mean, square = (graph.tensor(n) for n in (mean_op.inputs[0], mean_op.output, square_op.output))
    variance = graph.tensor(op.attrs.body[-1].output)
    num_channels = source.shape[-1]
    pixels = source.num_elements // num_channels
    mean_factor = mean_multiplier(source.scale, mean.scale, pixels)
    means = _reachable_means(source, mean, pixels, mean_factor)
    first = rescale(mean_factor, 255 * pixels, mean.zero_point)
    last = rescale(mean_multiplier(square.scale, variance.scale, pixels), 255 * pixels, variance.zero_point)
    squares = _fit(source, mean, square, means) or _general(source, mean, square)
    costs = build.costs
    has_table = squares.needs_table or costs.square_lookup + costs.square_table / pixels < costs.square_lanes
    return untyped_call(
        template="mean_variance",
        shape={
            "pixels": pixels,
            "c": num_channels,
            "block": _block(pixels),
            "has_pairs": num_channels % 8 == 0 and num_channels <= MAX_STEP_BYTES,
            "has_table": has_table,
            "sum_steps": unroll(_block(pixels), 8),
            "square_steps": unroll(pixels, 16) if has_table else unroll(_block(pixels), 4),
            "store_means": first.stores_four,
            "store_variances": last.stores_four,
            **squares.shape,
        },
        inputs=(source.name,),
        outputs=tuple(op.outputs),
        arrays=(
            first.constants("mean_constants", -pixels * source.zero_point),
            last.constants("variance_constants", -pixels * (square.zero_point + (128 if has_table else 0))),
            *squares.arrays,
        ),
        scalars=squares.scalars,
        scratch_bytes=256 if has_table else 0,
    )


def _block(pixels: int) -> int:
    """Rows to sum in int16 lanes before they are added to int32: a divisor of the pixels if a large one exists."""
    if pixels <= LANE_ROWS:
        return pixels
    divisor = next(d for d in range(LANE_ROWS, 0, -1) if pixels % d == 0)
    return divisor if divisor >= LANE_ROWS // 4 else LANE_ROWS


def _reachable_means(source: Tensor, mean: Tensor, pixels: int, factor: Multiplier) -> Int64:
    """Every int8 mean between those of the lowest and of the highest map."""
    extremes = pixels * (np.array([-128, 127]) - source.zero_point)
    low, high = np.clip(requantize(extremes, factor.multiplier, factor.shift) + mean.zero_point, -128, 127)
    return np.arange(low, high + 1, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Squares:
    """How the kernel makes squared differences: code, numbers and arrays."""

    shape: Mapping[str, ShapeValue]
    scalars: Mapping[str, int]
    arrays: tuple[ConstArray, ...]
    needs_table: bool


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
    return _Squares(
        {"is_fitted": True},
        {"root": root, "square_offset": offset},
        (_centre_constants(source, mean, square),),
        needs_table=False,
    )


def _centre_constants(source: Tensor, mean: Tensor, square: Tensor) -> ConstArray:
    """What ft_centre takes."""
    factor = squared_difference_multipliers(source.scale, mean.scale, square.scale).input2
    shift = -factor.shift
    values = [-mean.zero_point, factor.multiplier, 1 << shift >> 1, shift, -1 if shift else 0, 64 * source.zero_point]
    return ConstArray("centre_constants", np.array(values, np.int32))


def _general(source: Tensor, mean: Tensor, square: Tensor) -> _Squares:
    """Both rescaled inputs from tables, and the exact requantization: for a mean that is coarser than its map."""
    terms, centres, factor = rescaled_inputs(source, mean, square)
    reach = int(max(abs(terms.max() - centres.min()), abs(centres.max() - terms.min()))) ** 2
    requant = rescale(factor, reach, square.zero_point)
    arrays = tuple(
        ConstArray(name, by_unsigned_byte(values.astype(np.int16))) for name, values in (("terms", terms), ("centres", centres))
    )
    return _Squares({"is_fitted": False, **requant.shape("square")}, requant.scalars("square"), arrays, needs_table=True)


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
