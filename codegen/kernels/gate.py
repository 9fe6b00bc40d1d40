"""A gate: a MUL by one coefficient for each channel, inside a kernel that works on one channel at a time."""

from __future__ import annotations

from dataclasses import dataclass

from ..build import Costs
from ..fixed_point import mul_multiplier
from ..ir import ClampAttrs, Graph, Op
from .base import ShapeValue
from .exact import ProductRequant, fit_product_requant
from .mul import pair_products, requant_shape


@dataclass(frozen=True, eq=False)
class Gate:
    """The MUL's operands and its requantization.

    has_table  a table of a channel's 256 products is made first: pays on large maps
    """

    maps: str
    coefficients: str
    maps_offset: int
    coefficients_offset: int
    requant: ProductRequant
    activation_min: int
    activation_max: int
    has_table: bool

    @property
    def shape(self) -> dict[str, ShapeValue]:
        """What is part of the code."""
        return {"has_gate_table": self.has_table, **requant_shape(self.requant, self.activation_min, self.activation_max)}

    @property
    def scalars(self) -> dict[str, int]:
        """The layer's numbers."""
        return {
            "gate_offset0": self.maps_offset,
            "gate_offset1": self.coefficients_offset,
            "gate_multiplier": self.requant.multiplier,
            "gate_output_offset": self.requant.offset,
        }


def gate_of(mul: Op, graph: Graph, costs: Costs) -> Gate:
    """Take apart a MUL of maps [1, H, W, C] by coefficients [1, 1, 1, C]."""
    assert isinstance(mul.attrs, ClampAttrs)
    maps, coefficients, gated = (graph.tensor(name) for name in (*mul.inputs, mul.output))
    factor = mul_multiplier(maps.scale, coefficients.scale, gated.scale)
    requant = fit_product_requant(pair_products(maps, coefficients), factor, gated.zero_point)
    pixels = maps.num_elements // coefficients.num_elements
    return Gate(
        maps.name,
        coefficients.name,
        -maps.zero_point,
        -coefficients.zero_point,
        requant,
        mul.attrs.activation_min,
        mul.attrs.activation_max,
        costs.scale_lookup + costs.product_table / pixels < costs.scale_product + requant.sign_correction,
    )
