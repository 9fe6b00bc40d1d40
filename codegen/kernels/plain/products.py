"""CONV_2D and FULLY_CONNECTED in plain C: windows copied side by side, a few pixels times a few channels held in registers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...build import Isa
from ..convolution import Convolution, clamped_table
from ..parameters import KernelParameters, array, code, data, packed_weights, size
from .scaling import Scaling, scaling

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

MAX_WINDOW_BYTES = 8192


@dataclass(frozen=True, eq=False)
class Outputs(KernelParameters):
    """How sums become int8, the same in every plain kernel.

    rounding  the constant of scale.h
    channels  [c_out, 4]: start, and the words of the scale
    """

    rounding: str = code()
    clamps_low: bool = code()
    clamps_high: bool = code()
    has_table: bool = code()
    activation_min: int | None = data()
    activation_max: int | None = data()
    table: Int8 | None = array()
    channels: Int32 = packed_weights()


def outputs(conv: Convolution, scale: Scaling, clamps_before_table: bool = False) -> Outputs:
    """The outputs of a layer; the clamp is part of the table where there is one."""
    clamps = conv.table is None or clamps_before_table
    clamps_low, clamps_high = clamps and conv.activation_min > -128, clamps and conv.activation_max < 127
    return Outputs(
        scale.rounding,
        clamps_low,
        clamps_high,
        conv.table is not None,
        conv.activation_min if clamps_low else None,
        conv.activation_max if clamps_high else None,
        None if conv.table is None else clamped_table(conv),
        scale.channels.reshape(-1),
    )


@dataclass(frozen=True, eq=False)
class Products(KernelParameters):
    """The multiplication of windows with weights.

    pixels     windows at a time
    lanes      channels at a time
    shifted    whether the weights are stored + 128
    depth      values of a window, a multiple of 4
    turns      groups of lanes
    first      how far the second group lies behind the first: the first two overlap where lanes do not divide the channels
    """

    pixels: int = code()
    lanes: int = code()
    shifted: bool = code()
    depth: int = size(inner=True)
    turns: int = size()
    first: int = size()
    weights: Int8 = packed_weights()


def products(conv: Convolution, num_pixels: int, isa: Isa, groups: int = 1, once: bool = False) -> tuple[Products, Scaling]:
    """The packed weights of a layer, [c_out, k] in its order, and its scale; each group of channels by itself."""
    c_out = conv.weights.shape[0]
    weights = conv.weights.reshape(c_out, -1).astype(np.int64)
    share, depth = c_out // groups, (weights.shape[1] + 3) // 4 * 4
    pixels, lanes = _tile(num_pixels, depth, share, isa)
    first = share % lanes or lanes
    begins = [0, *range(first, share, lanes)] if first < lanes else list(range(0, share, lanes))
    order = (np.arange(groups)[:, np.newaxis] * share + [begin + lane for begin in begins for lane in range(lanes)]).reshape(-1)
    padded = np.zeros((c_out, depth), np.int64)
    padded[:, : weights.shape[1]] = weights
    packed = padded[order].reshape(-1, lanes, depth).transpose(0, 2, 1).astype(np.int8)
    shifted = not isa.loads_signed
    scale = scaling(conv, weights, isa, once)
    made = Products(
        pixels, lanes, shifted, depth, len(begins), first, (packed ^ np.int8(-128) if shifted else packed).reshape(-1)
    )
    return made, Scaling(scale.rounding, scale.channels[order], scale.low, scale.high)


def _tile(num_pixels: int, depth: int, channels: int, isa: Isa) -> tuple[int, int]:
    """Pixels and channels whose sums the registers can hold beside the values, the weight, and the addresses."""
    most = 4 if isa.registers >= 13 else 2
    pixels = max(1, min(num_pixels, most, MAX_WINDOW_BYTES // depth))
    return (pixels, min(2, channels)) if pixels > 1 else (1, min(4, channels))
