"""Sums of products of int16 values and int8 weights: how they are kept, packed and brought to the output's scale.

Sums of a layer are kept in 32 bits where no input can make one of its channels leave them; else blocks of products, which fit 32
bits whatever they are, are added to 64. Scales: "fine" is `requantize_64` of 32 bits in one multiplication, exact since a shift
by 33 and more is one by 32, rounded down, and the rest; "wide" is it in 64 bits; "twice" is `requantize`; "real" multiplies in
double, as FULLY_CONNECTED does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...build import DSP, Build
from ...fixed_point import reduced_multiplier
from ...ir import ClampAttrs, ConvAttrs, DType, Graph, Op, OpKind
from ...reference import channel_factors, channel_multipliers, has_wide_sums
from ..parameters import Helper

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

INT32 = 1 << 31
BLOCK_VALUES = 508  # products of an int16 and an int8 that 32 bits hold, a multiple of four: 508 * 2^22 < 2^31
LEAST_FINE = 17  # right shifts of a Q15 multiplier that are 33 and more of a Q31 one


@dataclass(frozen=True)
class ProductKernel(Helper):
    """The static function of two columns and all output channels of a group."""

    template: ClassVar[str] = "int16x8/products"

    scale: str
    is_wide: bool
    is_clamped: bool
    is_dsp: bool

    @property
    def words(self) -> int:
        """Of each channel."""
        return 4 if self.is_wide else 3

    @property
    def block(self) -> int:
        """How many turns of the innermost loop fit 32 bits."""
        return BLOCK_VALUES // 4 if self.is_dsp else BLOCK_VALUES

    @property
    def name(self) -> str:
        traits = [self.scale, *(["64"] if self.is_wide else []), *(["clamped"] if self.is_clamped else [])]
        return f"ft_products_16_{'_'.join(traits)}"

    @property
    def summary(self) -> str:
        sums = "64" if self.is_wide else "32"
        return (
            f"Products of two columns of int16 values with two output channels at a time; sums of {sums} bits, stored as int16."
        )


@dataclass(frozen=True, eq=False)
class Sums:
    """The channels of a CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED on int16.

    filters  [c_out, k] weights in the order of a column
    bias     [c_out]
    scale    which of the scales; factors [c_out, 2] its two words
    largest  [c_out] a bound of |sum|, in whatever order the products are added
    """

    filters: Int64
    bias: Int64
    scale: str
    factors: Int32
    largest: Int64
    low: int
    high: int

    @property
    def is_wide(self) -> bool:
        return bool((self.largest >= INT32).any())

    @property
    def is_clamped(self) -> bool:
        return (self.low, self.high) != DType.INT16.limits

    def channel_words(self) -> Int32:
        """[c_out, 3 or 4]: the sum's start in one word or two, low first, and the scale."""
        start = self.bias.reshape(-1, 1)
        words = np.concatenate([start & 0xFFFFFFFF, start >> 32], axis=1) if self.is_wide else start
        return np.concatenate([words.astype(np.uint32).view(np.int32).reshape(len(start), -1), self.factors], axis=1)


def sums_of(op: Op, graph: Graph) -> Sums:
    """The channels of an operator."""
    assert isinstance(op.attrs, ConvAttrs | ClampAttrs)
    weights = graph.tensor(op.inputs[1]).constant().astype(np.int64)
    is_depthwise = op.kind is OpKind.DEPTHWISE_CONV_2D
    filters = weights.reshape(-1, weights.shape[3]).T if is_depthwise else weights.reshape(len(weights), -1)
    bias = graph.tensor(op.inputs[2]).constant().astype(np.int64) if len(op.inputs) > 2 else np.zeros(len(filters), np.int64)
    largest = np.abs(filters).sum(axis=1) * (1 << 15) + np.abs(bias.reshape(-1))
    scale, factors = _scale(op, graph, bool((largest >= INT32).any()))
    return Sums(filters, bias.reshape(-1), scale, factors, largest, op.attrs.activation_min, op.attrs.activation_max)


def _scale(op: Op, graph: Graph, is_wide: bool) -> tuple[str, Int32]:
    if op.kind is OpKind.FULLY_CONNECTED:
        return "real", channel_factors(op, graph).astype("<f8").view("<i4").reshape(-1, 2).astype(np.int32)
    multiplier, shift = channel_multipliers(op, graph)
    if not has_wide_sums(op, graph):
        return "twice", np.stack([multiplier, shift], axis=1).astype(np.int32)
    reduced, right = reduced_multiplier(multiplier), 15 - shift
    if is_wide or (right < LEAST_FINE).any():
        return "wide", np.stack([reduced, right], axis=1).astype(np.int32)
    return "fine", np.stack([reduced << 16, right - 16], axis=1).astype(np.int32)


@dataclass(frozen=True, eq=False)
class PackedProducts:
    """Sums as a `ProductKernel` reads them, group by group.

    count  turns of the innermost loop: values of a column, or groups of four
    words  int32 words of `channels` for each group; weights_bytes of `weights`
    """

    kernel: ProductKernel
    weights: Int8 | Int32
    channels: Int32
    twos: int
    is_odd: int
    count: int
    column: int
    words: int
    weights_bytes: int


def packed_products(sums: Sums, groups: int, build: Build) -> PackedProducts:
    """Two output channels side by side: each value's two weights, or of four values the bytes 0, 2, 1, 3 of both in words."""
    is_dsp = DSP in build.isa.chain
    depth = sums.filters.shape[1]
    column = -(-depth // 4) * 4 if is_dsp else depth
    share = len(sums.filters) // groups
    twos = -(-share // 2)
    order = np.minimum(np.arange(2 * twos), share - 1) + share * np.arange(groups)[:, np.newaxis]
    filters = np.pad(sums.filters, ((0, 0), (0, column - depth)))[order.reshape(-1)].reshape(groups * twos, 2, column)
    if is_dsp:
        fours = filters.reshape(groups * twos, 2, -1, 4)[..., [0, 2, 1, 3]]
        packed = fours.transpose(0, 2, 1, 3)
    else:
        packed = filters.transpose(0, 2, 1)
    weights = np.ascontiguousarray(packed.astype(np.int8)).reshape(-1)
    words = sums.channel_words()[order.reshape(-1)]
    return PackedProducts(
        ProductKernel(sums.scale, sums.is_wide, sums.is_clamped, is_dsp),
        weights.view("<i4").astype(np.int32) if is_dsp else weights,
        words.reshape(-1),
        twos,
        share % 2,
        column // 4 if is_dsp else column,
        column,
        words.size // groups,
        packed.size // groups,
    )
