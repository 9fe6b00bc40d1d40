"""The multiplication of CONV_2D and FULLY_CONNECTED: widened windows with two output channels at a time.

The windows of a tile, up to 4 pixels, are widened to int16 and interleaved in scratch (im2col); each word of weights, two
channels' worth of a pair of window elements, is then used for all of the pixels. Weights, biases and requantization constants lie
in packed weights, words in the order in which they are read:

    for each two channels: both and even start, `pairs` words (packed) or `pairs` times two words (wide), constants of the even
    channel, constants of the odd channel; for a last single channel: its start, `pairs` words, its constants

Twos that fit share words ("packed"); those that `channel_twos.py` cannot make fit are wide and follow, behind a word that says
how many words they are. A layer of wide twos alone has tiles of 2 pixels: two pairs of these and of two channels fill the
registers by two loads of several words.

A channel's constants are multiplier, offset and shift. Where all twos are neighbours, in order, their shifts share a word, behind
the even channel's offset; no shift is stored where the form needs none ("fine", of int16 weights), and no offset for one pixel
where it is made of the shift and of the layer's zero point. Else channels come in any order: a channel's place in the output lies
above the low byte of its shift.

A convolution of several groups has packed weights of each, one after the other, and widens its windows group by group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from .accumulators import accumulator_bounds
from .base import OwnFunction
from .channel_twos import ChannelOrder, channel_order, equal_orders, natural_order
from .convolution import Convolution, clamped_table
from .parameters import Helper, KernelParameters, array, code, data, packed_weights, size
from .requantization import Rounding, fine_requantization, requantization

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MAX_COLUMN_BYTES = 8192
SMALL_TILE = 72  # products of two channels with which a larger tile saves more than two pairs at a time do


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

    has_packed  whether a group has twos of output channels that share words, ..
    has_wide    .. twos of which each has int16 words of its own, ..
    has_single  .. and one channel beside these
    in_order    whether twos are neighbours, from the first channel on
    has_offsets whether offsets are stored, not made of shifts
    loop        over a window's pairs, or over a row's groups of four values
    pairs       in a window; 0: a number of the layer
    stride      from one pixel's outputs to the next's; 0: a number of the layer
    words       of the first kind of twos of a group's channels; 0: a number of the layer
    in_place    whether the one window is a row of int8 values, read in place, not of pairs in scratch, and ..
    rest_bytes  .. how many of them are left over by groups of four
    """

    template: ClassVar[str] = "gemm"

    pixels: int
    has_packed: bool
    has_wide: bool
    has_single: bool
    in_order: bool
    has_offsets: bool
    rounding: Rounding
    clamps_low: bool
    clamps_high: bool
    has_table: bool
    loop: PairLoop
    pairs: int = 0
    stride: int = 0
    words: int = 0
    in_place: bool = False
    rest_bytes: int = 0

    @property
    def name(self) -> str:
        kinds = ["packed"] * self.has_packed + ["wide"] * (self.has_wide or not self.has_packed)
        parts = ["gemm", *kinds, f"{self.pixels}px", self.rounding.name.lower()]
        parts += ["min"] * self.clamps_low + ["max"] * self.clamps_high + ["table"] * self.has_table
        parts += [f"row{self.rest_bytes}"] * self.in_place
        parts += [f"r{self.loop.rest}"] * (self.loop.rest >= 0) + [f"u{self.loop.unroll}"] * self.loop.has_turns
        parts += ["odd" if self.has_twos else "single"] * self.has_single + ["placed"] * (not self.in_order)
        parts += ["shifts"] * (not self.has_offsets)
        if self.is_own:
            parts += [f"p{self.pairs}", f"c{self.stride}", f"w{self.words}"]
        return "_".join(("ft", *parts))

    @property
    def summary(self) -> str:
        pixels = "1 row, read in place" if self.in_place else "1 pixel" if self.pixels == 1 else f"{self.pixels} pixels"
        channels = f", {self.stride} channels from windows of {self.pairs} pairs" if self.is_own else ""
        return f"All output channels of a group for {pixels}{channels}. Returns where the next group's packed weights begin."

    @property
    def has_twos(self) -> bool:
        """Whether a group has two output channels."""
        return self.has_packed or self.has_wide

    @property
    def reads_layer(self) -> bool:
        """Whether any number or table of the layer is read."""
        has_numbers = not self.is_own and (self.has_twos or self.pixels > 1 or self.loop.has_turns)
        return self.has_table or self.clamps_low or self.clamps_high or has_numbers

    @property
    def rest_pairs(self) -> int:
        """Pairs that the bytes left over give."""
        return (self.rest_bytes + 1) // 2

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
    half_steps  2 * zero point + 1, of which the offsets are multiples by powers of two, where they are not stored
    """

    kernel: GemmKernel = code()
    rest: GemmKernel = code()
    weights: Int32 = packed_weights()
    table: Int8 | None = array()
    words: int = size()
    pairs: int = size()
    stride: int = size()
    activation_min: int | None = data()
    activation_max: int | None = data()
    half_steps: int | None = data()

    @property
    def stored(self) -> str:
        """As `KernelParameters.stored`; of the channels of a group."""
        if not self.kernel.has_wide:
            return "int8" if self.kernel.has_packed else "int16"
        if not self.kernel.has_packed:
            return "int16"
        return f"int8, {2 * int(self.weights[self.words]) // (8 + 2 * self.pairs)} channels int16"


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """A layer's packed weights and how the kernel reads them.

    packed, wide  twos of a group's channels that share words, and that have words of their own
    in_order      whether twos are neighbours, from the first channel on
    two_words     of two channels of the first kind beside their weights
    half_steps    as in `Gemm`
    accumulator   the least and the largest int32 sum of any channel
    """

    words: Int32
    pairs: int
    packed: int
    wide: int
    in_order: bool
    two_words: int
    half_steps: int | None
    rounding: Rounding
    accumulator: tuple[int, int]


def pack_weights(
    conv: Convolution, pairs: list[tuple[int, int]], num_pixels: int, build: Build, once: bool = False, groups: int = 1
) -> PackedWeights:
    """Pack a layer whose weights are `[c_out, ...]`; those of the groups follow each other."""
    c_out = conv.weights.shape[0]
    weights = conv.filters
    low, high = accumulator_bounds(weights, conv.bias, conv.input_zero_point)
    largest = np.maximum(np.abs(low), np.abs(high))
    requant = requantization(conv, largest, once, low)
    if num_pixels > 1:  # one has few outputs: a form more would not pay for its code
        requant = fine_requantization(requant, largest)
    start = conv.bias - conv.input_zero_point * weights.sum(axis=1)
    padded = np.concatenate([weights, np.zeros((c_out, 1), np.int64)], axis=1)
    lanes = padded[:, np.array(pairs)]  # [c_out, pairs, 2]; index -1 is the zero column
    share = c_out // groups
    orders = _orders(weights, largest, num_pixels, build, groups)
    in_order = all(order.channels == list(range(share)) and not (order.packed and order.wide) for order in orders)
    factors, constants = requant.factors, requant.constants.astype(np.int64)
    is_fine = requant.rounding.is_fine
    half_steps = requant.half_steps(conv.output_zero_point) if num_pixels == 1 and in_order else None
    stored = [0, 2] if half_steps is not None else [0, 1] if is_fine else [0, 1, 2]  # of a single channel
    places = np.arange(c_out) % share

    def constants_of(a: int, b: int, is_packed: bool) -> list[Int64]:
        """Those of two channels."""
        even, odd = constants[a].copy(), constants[b].copy()
        if is_packed and is_fine:  # 256 times the odd channel's sum: what is too much
            odd[2] = 8 - odd[2]
        if not in_order:
            even[2], odd[2] = (shift & 0xFF | place << 8 for shift, place in ((even[2], places[a]), (odd[2], places[b])))
            return [even, odd]
        if half_steps is not None:
            return [even[:1], even[2:] & 0xFF | odd[2:] << 8, odd[:1]]
        if is_fine and not is_packed:
            return [even[:2], odd[:2]]
        return [even[:2], even[2:] & 0xFF | odd[2:] << 8, odd[:2]]

    words: list[Int64] = []
    for group, order in enumerate(orders):
        first = group * share
        for a, b in np.array(order.packed, np.int64).reshape(-1, 2) + first:
            words += [np.stack([256 * start[b] + start[a], start[a]]), pair_words(256 * lanes[b] + lanes[a])]
            words += constants_of(a, b, True)
        if order.packed and order.wide:
            words.append(np.array([len(order.wide) * (8 + 2 * len(pairs))]))
        for a, b in np.array(order.wide, np.int64).reshape(-1, 2) + first:
            scaled = factors[[a, b], np.newaxis, np.newaxis] * lanes[[a, b]]
            words += [factors[[a, b]] * start[[a, b]], pair_words(scaled.transpose(1, 0, 2)).reshape(-1)]
            words += constants_of(a, b, False)
        if order.single is not None:
            last = first + order.single
            words += [factors[[last]] * start[[last]], pair_words(factors[last] * lanes[last]), constants[last][stored]]
            if not in_order:
                shift = constants[last][2:] * (not is_fine)
                words[-1] = np.concatenate([constants[last][:2], shift & 0xFF | places[last] << 8])
    packed_words = np.concatenate(words).astype(np.uint64).astype(np.uint32).view(np.int32)
    return PackedWeights(
        packed_words,
        len(pairs),
        len(orders[0].packed),
        len(orders[0].wide),
        in_order,
        8 if not in_order else 5 if half_steps is not None else 6 if is_fine and not orders[0].packed else 7,
        half_steps,
        requant.rounding,
        (int(low.min()), int(high.max())),
    )


def _orders(weights: Int64, largest: Int64, num_pixels: int, build: Build, groups: int) -> list[ChannelOrder]:
    """The order of each group's channels: all wide where that pays, or where packing some would not pay for its code."""
    share = len(weights) // groups
    if is_worth_widening(weights, num_pixels, build):
        return [natural_order(share, is_wide=True)] * groups
    orders = [
        channel_order(weights[first : first + share], largest[first : first + share]) for first in range(0, len(weights), share)
    ]
    pays = math.ceil(_gemm_bytes(4, build.level.unroll_pairs) / (2 * weights.shape[1] * groups))
    return equal_orders(orders, 1 if all(not order.wide for order in orders) else pays)


def pair_words(lanes: Int64) -> Int64:
    """[..., 2] int16 lanes to words, low lane first."""
    words: Int64 = (lanes[..., 0] & 0xFFFF) | (lanes[..., 1] << 16)
    return words


def is_worth_widening(weights: Int64, num_pixels: int, build: Build) -> bool:
    """Whether int16 weights pay: about 1/8 instruction a product less, for a byte a weight more."""
    gain = num_pixels * (build.costs.wide_product + build.costs.wide_output / weights.shape[1])
    return weights.size <= build.level.wide_weights and gain >= build.level.wide_gain


def pixels_at_once(num_pixels: int, packed: PackedWeights) -> int:
    """How many windows are widened and multiplied together: two at a time need all registers, also those that outlive calls."""
    most = 4 if packed.packed or packed.rounding.is_exact or packed.wide * (packed.pairs - 4) < SMALL_TILE else 2
    return min(num_pixels, most, max(1, MAX_COLUMN_BYTES // (4 * packed.pairs)))


def gemm(
    conv: Convolution, packed: PackedWeights, num_pixels: int, build: Build, groups: int = 1, joins_rest: bool = False
) -> tuple[Gemm, Gemm]:
    """The multiplication of a layer by a function that layers share, and by one of its own.

    joins_rest  whether the pixels that the tiles leave over are multiplied together, where the level allows
    """
    level = build.level
    c_out = conv.weights.shape[0]
    share, pairs = c_out // groups, packed.pairs
    pixels = pixels_at_once(num_pixels, packed)
    words = packed.packed * (packed.two_words + pairs) if packed.packed else packed.wide * (packed.two_words + 2 * pairs)
    # one pixel has little code for each pair; layers rounded in 64 bits, in the public networks, have the longest windows
    rest = max(1, num_pixels % pixels) if joins_rest and not level.merges_inner else 1
    unroll = level.unroll_pairs if pixels == 1 or packed.rounding.is_exact else level.unroll_pairs // 2
    shared = GemmKernel(
        pixels,
        packed.packed > 0,
        packed.wide > 0,
        share % 2 == 1,
        packed.in_order,
        packed.half_steps is None,
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
        packed.half_steps,
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
    return _gemm_bytes(kernel.pixels, 1 + kernel.loop.rest + kernel.loop.has_turns * kernel.loop.unroll)


def _gemm_bytes(pixels: int, pairs: int) -> float:
    """About the code of a gemm that writes so many pairs of so many pixels, and of the kernel around it."""
    return 150 + 60 * pixels + 10 * pixels * pairs


def row_gemm(conv: Convolution, packed: PackedWeights, build: Build) -> tuple[Gemm, Gemm]:
    """The same for one row that is read in place."""
    made, own = gemm(conv, packed, 1, build)
    c_in = conv.weights.size // conv.weights.shape[0]
    fours, rest_bytes = divmod(c_in, 4)

    def in_place(kernel: GemmKernel) -> GemmKernel:
        loop = PairLoop.over(fours, build.level.unroll_pairs // 2) if fours else PairLoop(-1, False, 0)
        return replace(kernel, in_place=True, rest_bytes=rest_bytes, loop=loop)

    def of_row(form: Gemm) -> Gemm:
        return replace(form, kernel=in_place(form.kernel), rest=in_place(form.rest))

    return of_row(made), of_row(own)
