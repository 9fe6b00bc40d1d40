"""The multiplication of CONV_2D and FULLY_CONNECTED: widened windows with two output channels at a time.

The windows of up to 4 pixels, a tile, are widened to int16 and interleaved in scratch (im2col); each word of weights, two
channels' worth of a pair of window elements, is then used for all of the pixels. Weights, biases and requantization constants lie
in packed weights, words in the order in which they are read:

    for each two channels: both and even start, `pairs` words (packed) or `pairs` times two words (wide), constants of the even
    channel, constants of the odd channel; for a last single channel: its start, `pairs` words, its constants

A convolution of several groups has packed weights of each, one after the other, and widens its windows group by group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from .base import OwnFunction
from .convolution import Convolution, clamped_table
from .parameters import Helper, KernelParameters, array, code, data, size
from .requantization import Rounding, accumulator_bounds, requantization

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MAX_COLUMN_BYTES = 8192


@dataclass(frozen=True)
class PairLoop:
    """How a window's pairs are multiplied: the first, `rest` without a loop, and the others, if there are, `unroll` in a turn."""

    rest: int
    has_turns: bool
    unroll: int

    @classmethod
    def over(cls, pairs: int, unroll: int) -> PairLoop:
        """Of windows of so many pairs, with at most so many in a turn."""
        unroll = max(unroll, 2)
        return cls((pairs - 1) % unroll, pairs > unroll, unroll)


@dataclass(frozen=True)
class GemmKernel(Helper):
    """The C function that multiplies a tile of `pixels` windows with all output channels of a group.

    is_wide     weights are int16 words for each channel, not packed in twos
    has_twos    whether a group has two output channels, and ..
    has_single  .. whether it has one beside these
    loop        over a window's pairs
    pairs       in a window; 0: a number of the layer
    stride      from one pixel's outputs to the next's; 0: a number of the layer
    words       of the packed weights of a group's channels in twos; 0: a number of the layer
    """

    template: ClassVar[str] = "gemm"

    pixels: int
    is_wide: bool
    has_twos: bool
    has_single: bool
    rounding: Rounding
    clamps_low: bool
    clamps_high: bool
    has_table: bool
    loop: PairLoop
    pairs: int = 0
    stride: int = 0
    words: int = 0

    @property
    def name(self) -> str:
        parts = ["gemm", "wide" if self.is_wide else "packed", f"{self.pixels}px", self.rounding.name.lower()]
        parts += ["min"] * self.clamps_low + ["max"] * self.clamps_high + ["table"] * self.has_table
        parts += [f"r{self.loop.rest}"] + [f"u{self.loop.unroll}"] * self.loop.has_turns
        parts += ["odd" if self.has_twos else "single"] * self.has_single
        if self.is_own:
            parts += [f"p{self.pairs}", f"c{self.stride}", f"w{self.words}"]
        return "_".join(("ft", *parts))

    @property
    def summary(self) -> str:
        pixels = "1 pixel" if self.pixels == 1 else f"{self.pixels} pixels"
        channels = f", {self.stride} channels from windows of {self.pairs} pairs" if self.is_own else ""
        return f"All output channels of a group for {pixels}{channels}. Returns where the next group's packed weights begin."

    @property
    def reads_layer(self) -> bool:
        """Whether any number or table of the layer is read."""
        has_numbers = not self.is_own and (self.has_twos or self.pixels > 1 or self.loop.has_turns)
        return self.has_table or self.clamps_low or self.clamps_high or has_numbers

    @property
    def is_own(self) -> bool:
        """Whether it is one layer's: all its numbers are code."""
        return self.pairs > 0


@dataclass(frozen=True, eq=False)
class Gemm:
    """The part of a kernel's parameters that its multiplication reads; see `ft_gemm` in templates/kernels/gemm.h.

    kernel   for a whole tile
    rest     for the pixels that the tiles leave over, together or one by one
    table    the activation's lookup table, the clamp inside; int8[256]
    """

    kernel: GemmKernel = code()
    rest: GemmKernel = code()
    weights: Int32 = array()
    table: Int8 | None = array()
    words: int = size()
    pairs: int = size()
    stride: int = size()
    activation_min: int | None = data()
    activation_max: int | None = data()


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """A layer's packed weights and how the kernel reads them.

    accumulator  the least and the largest int32 sum of any channel
    """

    words: Int32
    pairs: int
    is_wide: bool
    rounding: Rounding
    accumulator: tuple[int, int]


def pack_weights(
    conv: Convolution, pairs: list[tuple[int, int]], num_pixels: int, build: Build, once: bool = False, groups: int = 1
) -> PackedWeights:
    """Pack a layer whose weights are `[c_out, ...]`; those of the groups follow each other."""
    c_out = conv.weights.shape[0]
    weights = conv.weights.reshape(c_out, -1).astype(np.int64)
    low, high = accumulator_bounds(weights, conv.bias, conv.input_zero_point)
    largest = np.maximum(np.abs(low), np.abs(high))
    requant = requantization(conv, largest, once)
    start = conv.bias - conv.input_zero_point * weights.sum(axis=1)
    padded = np.concatenate([weights, np.zeros((c_out, 1), np.int64)], axis=1)
    lanes = padded[:, np.array(pairs)]  # [c_out, pairs, 2]; index -1 is the zero column
    share = c_out // groups
    even = np.arange(c_out).reshape(groups, share)[:, : share // 2 * 2 : 2]  # first channels of the twos, by group
    packed = 256 * lanes[even + 1] + lanes[even]
    is_wide = bool((packed < -32768).any()) or bool((largest >= 1 << 23).any()) or is_worth_widening(weights, num_pixels, build)
    factor = 2 if requant.rounding.takes_doubled else 1
    words: list[Int64] = []
    for group in range(groups):
        for pair, a in enumerate(even[group].tolist()):
            b = a + 1
            if is_wide:
                words += [factor * start[[a, b]], _words(factor * lanes[[a, b]].transpose(1, 0, 2)).reshape(-1)]
            else:
                words += [np.stack([256 * start[b] + start[a], start[a]]), _words(packed[group, pair])]
            words += [requant.constants[a].astype(np.int64), requant.constants[b].astype(np.int64)]
        if share % 2:
            last = (group + 1) * share - 1
            constants = requant.constants[last].astype(np.int64)
            words += [factor * start[[last]], _words(factor * lanes[last]), constants]
    packed_words = np.concatenate(words).astype(np.uint64).astype(np.uint32).view(np.int32)
    return PackedWeights(packed_words, len(pairs), is_wide, requant.rounding, (int(low.min()), int(high.max())))


def _words(lanes: Int64) -> Int64:
    """[..., 2] int16 lanes to words, low lane first."""
    words: Int64 = (lanes[..., 0] & 0xFFFF) | (lanes[..., 1] << 16)
    return words


def is_worth_widening(weights: Int64, num_pixels: int, build: Build) -> bool:
    """Whether int16 weights pay: about 1/16 instruction a product and 1.5 an output less, for a byte a weight more."""
    gain = num_pixels * (build.costs.wide_product + build.costs.wide_output / weights.shape[1])
    return weights.size <= build.level.wide_weights and gain >= build.level.wide_gain


def pixels_at_once(num_pixels: int, pairs: int) -> int:
    """How many windows are widened and multiplied together."""
    return min(num_pixels, 4, max(1, MAX_COLUMN_BYTES // (4 * pairs)))


def gemm(
    conv: Convolution, packed: PackedWeights, num_pixels: int, build: Build, groups: int = 1, joins_rest: bool = False
) -> tuple[Gemm, Gemm]:
    """The multiplication of a layer by a function that layers share, and by one of its own.

    joins_rest  whether the pixels that the tiles leave over are multiplied together, where the level allows
    """
    level = build.level
    c_out = conv.weights.shape[0]
    share, pairs = c_out // groups, packed.pairs
    pixels = pixels_at_once(num_pixels, pairs)
    words = share // 2 * (8 + (2 if packed.is_wide else 1) * pairs)
    # one pixel has little code for each pair; layers rounded in 64 bits, in the public networks, have the longest windows
    rest = max(1, num_pixels % pixels) if joins_rest and not level.merges_inner else 1
    unroll = level.unroll_pairs if pixels == 1 or not packed.rounding.takes_doubled else level.unroll_pairs // 2
    shared = GemmKernel(
        pixels,
        packed.is_wide,
        share > 1,
        share % 2 == 1,
        packed.rounding,
        conv.activation_min > -128 and conv.table is None,
        conv.activation_max < 127 and conv.table is None,
        conv.table is not None,
        PairLoop.over(pairs, unroll),
    )
    loop = PairLoop.over(pairs, pairs if pairs <= level.unroll_all_pairs else level.unroll_pairs)
    made = Gemm(
        shared,
        replace(shared, pixels=rest, loop=PairLoop.over(pairs, level.unroll_pairs // 4)),
        packed.words,
        clamped_table(conv) if conv.table is not None else None,
        words,
        pairs,
        c_out,
        conv.activation_min if shared.clamps_low else None,
        conv.activation_max if shared.clamps_high else None,
    )
    return made, replace(made, kernel=replace(shared, loop=loop, pairs=pairs, stride=c_out, words=words))


def own_function(
    parameters: KernelParameters, shared: GemmKernel, own: GemmKernel, num_twos: int, build: Build
) -> OwnFunction | None:
    """The kernel with a gemm of its own, of so many tiles times two channels; at size there is none."""
    if build.level.merges_inner:
        return None
    costs = build.costs
    in_tile = costs.own_gemm_twos + costs.own_gemm_loop * (shared.loop.has_turns and not shared.has_table)
    saved = num_twos * (costs.own_gemm_pixel if shared.pixels == 1 else in_tile)
    return OwnFunction(parameters, saved, 0, _code_bytes(own), _code_bytes(shared))


def _code_bytes(kernel: GemmKernel) -> float:
    """Of a gemm and the kernel around it, about."""
    pairs = 1 + kernel.loop.rest + kernel.loop.has_turns * kernel.loop.unroll
    return 150 + 60 * kernel.pixels + 10 * kernel.pixels * pairs
