"""A depthwise convolution whose one window is the whole map, as streaming networks have it over their states: no scratch.

Four channels and two taps at a time: a word of the map holds four channels of one tap, and the lanes of two such words make the
pairs of taps that one instruction multiplies. Taps stay int8. Packed weights of four channels: the starts of their sums, for each
two taps two words (channels 0 and 1, then 2 and 3; of the first tap, then of the second), multiplier, offset and shift of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .accumulators import accumulator_bounds
from .base import KernelCall, SamePlace
from .convolution import Convolution, clamped_table
from .parameters import KernelParameters, array, code, data, packed_weights, size
from .requantization import requantization

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DepthwiseGlobal(KernelParameters):
    """Parameters of `depthwise_global.c.j2`.

    twos, has_odd  pairs of taps, and whether one is left over
    """

    template: ClassVar[str] = "depthwise_global"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}

    has_odd: bool = code()
    is_doubled: bool = code()
    scale: str = code()
    clamp_low: bool = code()
    clamp_high: bool = code()
    channels: int = size()
    fours: int = size()
    twos: int = size()
    activation_min: int | None = data()
    activation_max: int | None = data()
    weights: Int32 = packed_weights()
    table: Int8 | None = array()

    @property
    def summary(self) -> str:
        table = ", then a lookup table" if self.table is not None else ""
        return f"Depthwise convolution of one window, the whole map{table}. Four channels and two taps at a time."

    @property
    def stored(self) -> str:
        return "int8"


def is_global(conv: Convolution) -> bool:
    """Whether the window is the map, and channels come in fours."""
    w = conv.attrs.window
    _, in_h, in_w, channels = conv.input_shape
    is_map = (w.kernel_h, w.kernel_w, w.dilation_h, w.dilation_w) == (in_h, in_w, 1, 1)
    is_inside = conv.output_shape[1:3] == (1, 1) and w.pad_top == w.pad_left == 0
    return is_map and is_inside and in_h * in_w >= 2 and channels % 4 == 0 and conv.output_shape[3] == channels


def depthwise_global(conv: Convolution, source: str, results: tuple[str, ...]) -> KernelCall:
    """The kernel of a convolution for which `is_global` holds."""
    filters = conv.filters
    channels, taps = filters.shape
    low, high = accumulator_bounds(filters, conv.bias, conv.input_zero_point)
    requant = requantization(conv, np.maximum(np.abs(low), np.abs(high)), least=low)
    start = conv.bias - conv.input_zero_point * filters.sum(axis=1)
    is_doubled = requant.rounding.takes_doubled
    padded = np.zeros((channels, taps + taps % 2), np.int8)
    padded[:, :taps] = filters
    by_fours = padded.reshape(channels // 4, 2, 2, -1, 2).transpose(0, 3, 1, 4, 2)  # [four, two taps, half, tap, channel]
    words = [
        start.astype(np.int32).reshape(-1, 4),
        np.ascontiguousarray(by_fours).reshape(channels // 4, -1).view(np.int32),
        requant.constants.reshape(-1, 12),
    ]
    clamps = conv.table is None
    clamp_low, clamp_high = clamps and conv.activation_min > -128, clamps and conv.activation_max < 127
    parameters = DepthwiseGlobal(
        has_odd=taps % 2 == 1,
        is_doubled=is_doubled,
        scale=requant.rounding.value,
        clamp_low=clamp_low,
        clamp_high=clamp_high,
        channels=channels,
        fours=channels // 4,
        twos=taps // 2,
        activation_min=conv.activation_min if clamp_low else None,
        activation_max=conv.activation_max if clamp_high else None,
        weights=np.concatenate(words, axis=1).reshape(-1),
        table=clamped_table(conv) if conv.table is not None else None,
    )
    bounds = (int(low.min()), int(high.max()))
    return KernelCall(parameters, (source,), results, sharing={source: SamePlace()}, accumulator=bounds)
