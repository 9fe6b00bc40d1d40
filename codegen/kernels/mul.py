"""MUL: the product of the two centred values, requantized by one factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import mul_multiplier
from ..ir import ClampAttrs, Graph, Op, Tensor
from .base import KernelCall, SamePlace
from .broadcast import PairLoops, broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES, ProductRequant, fit_product_requant
from .parameters import KernelParameters, array, code, data, group, size
from .table import table_call
from .turns import Turns, in_turns

MAX_LANE_FACTOR = 128  # a centred int8 value times this fits an int16 lane


@dataclass(frozen=True, eq=False)
class Mul(KernelParameters):
    """Any two operands; `operand` is the second one where it is constant."""

    template: ClassVar[str] = "mul"

    is_constant: bool = code()
    loops: PairLoops = group()
    offset0: int = data()
    offset1: int = data()
    requant: ProductRequant = group()
    operand: npt.NDArray[np.int8] | None = array()

    @property
    def summary(self) -> str:
        return "Products of the centred values, requantized."


@dataclass(frozen=True, eq=False)
class MulChannels(KernelParameters):
    """A map [pixels, channels] times a vector [channels].

    groups       of four channels, in lanes ..
    rest_begin   .. and the first of the channels behind these, for which `pixels` is
    """

    template: ClassVar[str] = "mul_channels"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}

    has_table: bool = code()
    channels: int = size()
    turns: Turns | None = group()
    groups: int | None = size()
    rest_begin: int | None = size()
    pixels: int | None = size()
    offset0: int = data()
    offset1: int = data()
    requant: ProductRequant = group()

    @property
    def name(self) -> str:
        return "mul_channels_by_table" if self.has_table else "mul_channels"

    @property
    def summary(self) -> str:
        by = "by a lookup table of each channel's products" if self.has_table else "four channels at a time"
        return f"Pixels times one coefficient for each channel, {by}."


def pair_products(first: Tensor, second: Tensor) -> npt.NDArray[np.int64]:
    """(a - z0) * (b - z1) for all pairs of int8 values: [a + 128, b + 128]."""
    return (INT8_VALUES - first.zero_point)[:, np.newaxis] * (INT8_VALUES - second.zero_point)[np.newaxis, :]


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MUL; the operands are broadcast as NumPy does."""
    assert isinstance(op.attrs, ClampAttrs)
    first, second = (graph.tensor(name) for name in op.inputs)
    factor = mul_multiplier(first.scale, second.scale, graph.tensor(op.output).scale)
    if first.is_constant and not second.is_constant:
        first, second = second, first
    products = pair_products(first, second)
    low, high = op.attrs.activation_min, op.attrs.activation_max
    requant = fit_product_requant(products, factor, graph.tensor(op.output).zero_point, low, high)
    if second.is_constant and second.num_elements == 1:
        column = products[:, int(second.constant().reshape(-1)[0]) + 128]
        table = np.clip(requant.apply(column), low, high).astype(np.int8)
        return table_call(first.name, op.output, first.num_elements, table)
    if not second.is_constant and requant.factor <= MAX_LANE_FACTOR:
        channels = _channels(first, second, op.output, requant, build) or _channels(second, first, op.output, requant, build)
        if channels is not None:
            return channels
    nest = broadcast_nest(first.shape, second.shape)
    inputs = (first.name,) if second.is_constant else (first.name, second.name)
    parameters = Mul(
        is_constant=second.is_constant,
        loops=nest.loops,
        offset0=-first.zero_point,
        offset1=-second.zero_point,
        requant=requant,
        operand=second.constant().reshape(-1).astype(np.int8) if second.is_constant else None,
    )
    return KernelCall(parameters, inputs, (op.output,), sharing=elementwise_sharing(nest, inputs))


def _channels(maps: Tensor, scales: Tensor, output: str, requant: ProductRequant, build: Build) -> KernelCall | None:
    """The call for a map [pixels, C] times a vector [C], None for other shapes."""
    nest = broadcast_nest(maps.shape, scales.shape)
    num_channels = nest.run
    if (nest.strides0, nest.strides1, nest.step0, nest.step1) != ((num_channels,), (0,), 1, 1):
        return None
    pixels = nest.sizes[0]
    costs = build.costs
    has_table = costs.product_lookup + costs.product_table / pixels < costs.product_lanes + requant.sign_correction
    grouped = 0 if has_table else num_channels // 4 * 4
    has_rest = not has_table and grouped < num_channels
    parameters = MulChannels(
        has_table=has_table,
        channels=num_channels,
        turns=in_turns(pixels, 4 if not has_table else 8 if build.level.merges_inner else 16) if has_table or grouped else None,
        groups=grouped // 4 or None,
        rest_begin=grouped if has_rest else None,
        pixels=pixels if has_rest else None,
        offset0=-maps.zero_point,
        offset1=-scales.zero_point,
        requant=requant,
    )
    return KernelCall(
        parameters,
        (maps.name, scales.name),
        (output,),
        scratch_bytes=256 if has_table else 0,
        sharing={maps.name: SamePlace()},
    )
