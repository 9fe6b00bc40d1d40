"""MEAN, SQUARED_DIFFERENCE and MEAN of a map in one kernel: the squared map never exists.

Once a channel's mean is known its squared difference is a function of the int8 value alone. On the squares' input scale
the map's value is 64 * (x - z) and the mean is a constant `centre`, so that with e = 128 * x - 2 * centre

    squared difference = sat8(((e * e * multiplier >> 32) + offset) >> shift)

for constants that are proven over all values and all means that the map can have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..fixed_point import Multiplier, mean_multiplier, requantize, squared_difference_multipliers
from ..ir import FusedAttrs, Graph, Op, Tensor
from .base import ConstArray, KernelCall
from .exact import INT8_VALUES
from .squared_difference import rescaled_inputs
from .table import by_unsigned_byte

Int64 = npt.NDArray[np.int64]

TABLE_ABOVE_PIXELS = 512  # above, a table of squared differences for each channel costs less than arithmetic


def select(op: Op, graph: Graph) -> KernelCall:
    """The kernel call that writes the mean and the variance of each channel of [1, H, W, C]."""
    assert isinstance(op.attrs, FusedAttrs)
    mean_op, square_op, _ = op.attrs.body
    source, mean, square = (graph.tensor(n) for n in (mean_op.inputs[0], mean_op.output, square_op.output))
    variance = graph.tensor(op.attrs.body[-1].output)
    num_channels = source.shape[-1]
    pixels = source.num_elements // num_channels
    mean_factor = mean_multiplier(source.scale, mean.scale, pixels)
    variance_factor = mean_multiplier(square.scale, variance.scale, pixels)
    centre_factor = squared_difference_multipliers(source.scale, mean.scale, square.scale).input2
    fitted = _fit(source, mean, square, pixels, mean_factor)
    scalars = {
        "mean_sum_offset": -pixels * source.zero_point,
        "mean_multiplier": mean_factor.multiplier,
        "mean_shift": mean_factor.shift,
        "mean_offset": mean.zero_point,
        "centre_multiplier": centre_factor.multiplier,
        "centre_shift": centre_factor.shift,
        "centre_offset": 64 * source.zero_point if fitted else 0,
        "variance_sum_offset": -pixels * square.zero_point,
        "variance_multiplier": variance_factor.multiplier,
        "variance_shift": variance_factor.shift,
        "variance_offset": variance.zero_point,
    }
    arrays: tuple[ConstArray, ...] = ()
    if fitted is None:
        terms, _, factor = rescaled_inputs(source, mean, square)
        arrays = (ConstArray("terms", by_unsigned_byte(terms.astype(np.int16))),)
        scalars |= {"multiplier": factor.multiplier, "shift": factor.shift, "square_offset": square.zero_point}
    else:
        scalars |= {"multiplier": fitted.multiplier, "square_offset": fitted.offset}
    has_table = fitted is None or not fitted.fits_lanes or pixels > TABLE_ABOVE_PIXELS
    return KernelCall(
        template="mean_variance",
        shape={
            "pixels": pixels,
            "c": num_channels,
            "is_fitted": fitted is not None,
            "shift": fitted.shift if fitted else 0,
            "has_table": has_table,
        },
        inputs=(source.name,),
        outputs=tuple(op.outputs),
        arrays=arrays,
        scalars=scalars,
        scratch_bytes=256 if has_table else 0,
    )


@dataclass(frozen=True)
class _Square:
    """Constants of the squared difference; with `fits_lanes` e and 4 * centre fit int16."""

    multiplier: int
    offset: int
    shift: int
    fits_lanes: bool


def _fit(source: Tensor, mean: Tensor, square: Tensor, pixels: int, mean_factor: Multiplier) -> _Square | None:
    """The short formula, when the map needs no rounding of its own and the constants reproduce every case."""
    terms, centres, factor = rescaled_inputs(source, mean, square)
    if not np.array_equal(terms, 64 * (INT8_VALUES - source.zero_point)):
        return None
    extremes = pixels * (np.array([-128, 127]) - source.zero_point)
    low, high = np.clip(requantize(extremes, mean_factor.multiplier, mean_factor.shift) + mean.zero_point, -128, 127)
    centre = centres[low + 128 : high + 129] + 64 * source.zero_point
    doubled = 128 * INT8_VALUES[:, np.newaxis] - 2 * centre[np.newaxis, :]
    expected = requantize(doubled * doubled // 4, factor.multiplier, factor.shift) + square.zero_point
    expected = np.clip(expected, -128, 127)
    right = -factor.shift
    shift = right + 1
    offset = 1 + (1 << right if right else 0) + (square.zero_point << shift)
    highest = int((doubled * doubled).max()) * factor.multiplier >> 32
    fits = max(abs(highest + offset), abs(offset)) < 1 << 31 and int((doubled * doubled).max()) < 1 << 31
    squares = np.clip(((doubled * doubled * factor.multiplier >> 32) + offset) >> shift, -128, 127)
    if not fits or not np.array_equal(squares, expected):
        return None
    fits_lanes = int(np.abs(doubled).max()) < 1 << 15 and int(centre.min()) >= -(1 << 13) and int(centre.max()) < 1 << 13
    return _Square(factor.multiplier, offset, shift, fits_lanes)
