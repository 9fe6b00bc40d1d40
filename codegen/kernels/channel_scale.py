"""A channel scale: a MUL by one coefficient for each channel, inside a kernel that works on one channel at a time."""

from __future__ import annotations

from dataclasses import dataclass

from ..build import Costs
from ..fixed_point import mul_multiplier
from ..ir import ClampAttrs, Graph, Op
from .exact import ProductRequant, fit_product_requant
from .mul import pair_products
from .parameters import data, group


@dataclass(frozen=True)
class ScaleNumbers:
    """The MUL's arithmetic: requant((map + maps_offset) * (coefficient + coefficients_offset))."""

    maps_offset: int = data()
    coefficients_offset: int = data()
    requant: ProductRequant = group()


@dataclass(frozen=True)
class ChannelScale:
    """The MUL's operands by name, and its arithmetic.

    has_table  a table of a channel's 256 products is made first: pays on large maps
    """

    maps: str
    coefficients: str
    numbers: ScaleNumbers
    has_table: bool


def channel_scale(mul: Op, graph: Graph, costs: Costs) -> ChannelScale:
    """Take apart a MUL of maps [1, H, W, C] by coefficients [1, 1, 1, C]."""
    assert isinstance(mul.attrs, ClampAttrs)
    maps, coefficients, scaled = (graph.tensor(name) for name in (*mul.inputs, mul.output))
    factor = mul_multiplier(maps.scale, coefficients.scale, scaled.scale)
    bounds = (mul.attrs.activation_min, mul.attrs.activation_max)
    requant = fit_product_requant(pair_products(maps, coefficients), factor, scaled.zero_point, *bounds)
    pixels = maps.num_elements // coefficients.num_elements
    has_table = costs.scale_lookup + costs.product_table / pixels < costs.scale_product + requant.sign_correction
    numbers = ScaleNumbers(-maps.zero_point, -coefficients.zero_point, requant)
    return ChannelScale(maps.name, coefficients.name, numbers, has_table)
