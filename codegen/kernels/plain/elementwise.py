"""ADD, MUL and their fused forms in plain C, one element at a time: what `add.py`, `mul.py` and `mul_max.py` do in lanes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...build import Build
from ...fixed_point import mul_multiplier
from ...ir import ClampAttrs, FusedAttrs, Graph, Op
from .. import add, mul
from ..base import KernelCall, RowSchedule, SamePlace
from ..broadcast import broadcast_nest, elementwise_sharing
from ..exact import fit_affine
from ..mul import pair_products
from ..mul_max import MulMaxForm, growing_bands
from ..parameters import KernelParameters, array, code, data, group, size
from .product import Product, fit_product


@dataclass(frozen=True, eq=False)
class Add(KernelParameters):
    """(a * factor0 + b * factor1 + bias) >> right of two maps of `count` elements."""

    template: ClassVar[str] = "plain/add"
    low: int = code()
    high: int = code()
    count: int = size()
    factor0: int = data()
    factor1: int = data()
    bias: int = data()
    right: int = data()

    @property
    def summary(self) -> str:
        return (
            "Sum of two maps, (a * factor0 + b * factor1 + bias) >> right: "
            "equal to LiteRT's three roundings for all 65,536 pairs of values."
        )


@dataclass(frozen=True, eq=False)
class Mul(KernelParameters):
    """Products of the centred values.

    form   "maps": of two maps of `count` elements; "channels": of `count` pixels and a vector; "table": that by a lookup table
    """

    template: ClassVar[str] = "plain/mul"
    shown: ClassVar[Mapping[str, str]] = {}
    form: str = code()
    channels: int | None = size()
    count: int = size()
    offset0: int = data()
    offset1: int = data()
    product: Product = group()

    @property
    def name(self) -> str:
        return {"maps": "mul", "channels": "mul_channels", "table": "mul_channels_by_table"}[self.form]

    @property
    def summary(self) -> str:
        return {
            "maps": "Products of the centred values of two maps.",
            "channels": "Pixels times one coefficient for each channel.",
            "table": "Pixels times one coefficient for each channel, by a lookup table of each channel's products.",
        }[self.form]


@dataclass(frozen=True, eq=False)
class MulMax(MulMaxForm):
    """Maps [pixels, channels, heads] times a vector [channels, heads], the largest of each channel's heads."""

    template: ClassVar[str] = "plain/mul_max"

    heads: int = code()
    channels: int = size()
    is_banded: bool = code()
    pixels: int | None = size()
    bands: int | None = size()
    band_pixels: npt.NDArray[np.int32] | None = array()
    offset0: int = data()
    offset1: int = data()
    product: Product = group()


def select_add(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of an ADD or SUB: of two maps that are not broadcast, where an affine formula in 32 bits is exact."""
    first, second = (graph.tensor(name) for name in op.inputs)
    nest = broadcast_nest(first.shape, second.shape)
    if first.is_constant or second.is_constant or nest.sizes or (nest.step0, nest.step1) != (1, 1):
        return add.select(op, graph, build)
    total = add.Sum(op, first, second, graph.tensor(op.output))
    affine = fit_affine(total.expected, *total.reals, total.low, total.high, fraction=0)
    if affine is None:
        return add.select(op, graph, build)
    parameters = Add(total.low, total.high, nest.run, affine.factor0, affine.factor1, affine.bias, affine.shift)
    return KernelCall(parameters, op.inputs, (op.output,), sharing=elementwise_sharing(nest, op.inputs))


def select_mul(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MUL: of two maps that are not broadcast, or of a map and a vector of its channels."""
    assert isinstance(op.attrs, ClampAttrs)
    first, second = (graph.tensor(name) for name in op.inputs)
    if first.is_constant or second.is_constant:
        return mul.select(op, graph, build)
    if second.num_elements > first.num_elements:
        first, second = second, first
    output = graph.tensor(op.output)
    nest = broadcast_nest(first.shape, second.shape)
    are_maps = not nest.sizes and (nest.step0, nest.step1) == (1, 1)
    are_channels = (nest.strides0, nest.strides1, nest.step0, nest.step1) == ((nest.run,), (0,), 1, 1)
    if not (are_maps or are_channels):
        return mul.select(op, graph, build)
    factor = mul_multiplier(first.scale, second.scale, output.scale)
    bounds = op.attrs.activation_min, op.attrs.activation_max
    product = fit_product(pair_products(first, second), factor, output.zero_point, bounds, build.isa)
    costs, count = build.costs, nest.sizes[0] if are_channels else nest.run
    has_table = are_channels and costs.product_lookup + costs.product_table / count < costs.product_lanes
    parameters = Mul(
        form="table" if has_table else "channels" if are_channels else "maps",
        channels=nest.run if are_channels else None,
        count=count,
        offset0=-first.zero_point,
        offset1=-second.zero_point,
        product=product,
    )
    inputs = (first.name, second.name)
    sharing = {first.name: SamePlace()} if are_channels else elementwise_sharing(nest, inputs)
    return KernelCall(parameters, inputs, (op.output,), 256 if has_table else 0, sharing)


def select_mul_max(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of MUL by per-channel coefficients, RESHAPE, REDUCE_MAX over the heads, RESHAPE."""
    assert isinstance(op.attrs, FusedAttrs)
    step = op.attrs.body[0]
    assert isinstance(step.attrs, ClampAttrs)
    maps, coefficients, scaled = (graph.tensor(name) for name in (*step.inputs, step.output))
    factor = mul_multiplier(maps.scale, coefficients.scale, scaled.scale)
    bounds = step.attrs.activation_min, step.attrs.activation_max
    channels = graph.tensor(op.output).shape[-1]
    heads = coefficients.num_elements // channels
    bands = growing_bands(graph.tensor(op.output).num_elements // channels, 0, heads, build.bands.count)
    ends, is_banded = list(accumulate(bands)), len(bands) > 1
    schedule = RowSchedule(tuple(channels * end for end in ends), tuple(channels * heads * begin for begin in [0, *ends[:-1]]))
    parameters = MulMax(
        heads=heads,
        channels=channels,
        is_banded=is_banded,
        pixels=None if is_banded else bands[0],
        bands=len(bands) if is_banded else None,
        band_pixels=np.array(bands, np.int32) if is_banded else None,
        offset0=-maps.zero_point,
        offset1=-coefficients.zero_point,
        product=fit_product(pair_products(maps, coefficients), factor, scaled.zero_point, bounds, build.isa),
    )
    return KernelCall(
        parameters,
        (maps.name, coefficients.name),
        (op.output,),
        sharing={maps.name: schedule} if is_banded else {},
        is_banded=is_banded,
    )
