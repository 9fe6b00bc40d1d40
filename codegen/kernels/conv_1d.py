"""CONV_2D of one filter over one row of values ([1, 1, W, 1]), as the channel attention has it, with or without a lookup table.

The row is widened to int16 in scratch, with its padding; tiles of outputs are multiplied as in a depthwise convolution
(`row_tiles.py`), what a row has beyond whole tiles one output at a time. Length and padding are data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from .accumulators import accumulator_bounds
from .base import KernelCall, SamePlace
from .convolution import Convolution, clamped_table
from .parameters import KernelParameters, array, code, data, packed_weights, size
from .requantization import Rounding, requantization
from .row_tiles import Taps, Tile, row_words, tile_of

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

MAX_TAPS = 8
TILE = 4


@dataclass(frozen=True, eq=False)
class Conv1d(KernelParameters):
    """A convolution along one row.

    weights      the start of a sum, the words of the taps paired from an even and from an odd column, multiplier, offset, shift
    singles      outputs after the last whole tile
    plane_words  of the widened row: `pad_left` zeros, `length` values, zeros
    """

    template: ClassVar[str] = "conv_1d"
    taps: int = code()
    tile: Tile = code()
    scale: str = code()
    factor_words: int = code()
    clamp_low: bool = code()
    clamp_high: bool = code()
    length: int = size()
    tiles: int = size()
    singles: int = size()
    pad_left: int = size()
    plane_words: int = size()
    zero_point: int = data()
    activation_min: int | None = data()
    activation_max: int | None = data()
    weights: Int32 = packed_weights()
    table: Int8 | None = array()

    @property
    def name(self) -> str:
        return f"conv_1d_k{self.taps}"

    @property
    def stored(self) -> str:
        return "int16"

    @property
    def summary(self) -> str:
        table = ", then a lookup table" if self.table is not None else ""
        return f"Convolution of {self.taps} taps along one row{table}. The row is widened to int16 with its padding."


def is_conv_1d(conv: Convolution) -> bool:
    """Whether a convolution is one filter along one row of one channel, with stride 1, no dilation and few taps."""
    w = conv.attrs.window
    is_row = conv.input_shape[1] == conv.output_shape[1] == 1 and conv.input_shape[3] == conv.output_shape[3] == 1
    is_plain = (w.kernel_h, w.stride_w, w.dilation_w, w.pad_top) == (1, 1, 1, 0)
    return is_row and is_plain and w.kernel_w <= MAX_TAPS


def conv_1d_call(conv: Convolution, source: str, results: tuple[str, ...], build: Build) -> KernelCall:
    """The kernel of a convolution for which `is_conv_1d` holds."""
    w = conv.attrs.window
    filters = conv.weights.reshape(1, -1).astype(np.int64)
    low, high = accumulator_bounds(filters, conv.bias, conv.input_zero_point)
    requant = requantization(conv, np.maximum(np.abs(low), np.abs(high)))
    # UP is AWAY without a step that a clamp makes needless: one function for both
    rounding = Rounding.AWAY if requant.rounding is Rounding.UP else requant.rounding
    factor = 2 if rounding.takes_doubled else 1
    taps = Taps((w.kernel_w + 1) // 2, (w.kernel_w - 1) // 2)  # all taps in the even pairs: single outputs read them one by one
    start = factor * (conv.bias - conv.input_zero_point * filters.sum(axis=1))
    words = np.concatenate([start, row_words(factor * filters[0], taps, w), requant.constants[0].astype(np.int64)])
    length, out_w = conv.input_shape[2], conv.output_shape[2]
    plane_words = (out_w + w.kernel_w) // 2
    clamps = conv.table is None
    clamp_low, clamp_high = clamps and conv.activation_min > -128, clamps and conv.activation_max < 127
    parameters = Conv1d(
        taps=w.kernel_w,
        tile=tile_of(w, taps, TILE, 0),
        scale=rounding.value,
        factor_words=1 + taps.words,
        clamp_low=clamp_low,
        clamp_high=clamp_high,
        length=max(0, min(length, out_w - 1 + w.kernel_w - w.pad_left)),
        tiles=out_w // TILE,
        singles=out_w % TILE,
        pad_left=w.pad_left,
        plane_words=plane_words,
        zero_point=conv.input_zero_point,
        activation_min=conv.activation_min if clamp_low else None,
        activation_max=conv.activation_max if clamp_high else None,
        weights=words.astype(np.uint64).astype(np.uint32).view(np.int32),
        table=clamped_table(conv) if conv.table is not None else None,
    )
    sharing = {source: SamePlace()}
    bounds = (int(low.min()), int(high.max()))
    return KernelCall(parameters, (source,), results, 4 * plane_words, sharing, bounds)
