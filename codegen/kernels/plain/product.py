"""Products of two centred int8 values in plain C: one formula with two multiplications, none of which needs more than 32 bits.

The multiplier is cut into two pieces of 15 bits, since |product| <= 255 * 255 < 2^16. With a = multiplier * 2^15 + lower,

    floor(product * a / 2^15) = product * multiplier + floor(product * lower / 2^15)

is scaled by `right`, which takes the place of LiteRT's two roundings: the offset is fitted, and the formula is accepted only when
it gives what LiteRT gives for every pair of values. Where the two roundings show, the form of `exact.py` is taken, in 64 bits, or
on cores that multiply into 32 bits alone its first rounding by the same two pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...build import Isa
from ...fixed_point import Multiplier, requantize
from ..exact import ProductRequant, fit_product_requant, offset_interval
from ..parameters import code, data, size

Int64 = npt.NDArray[np.int64]

PIECE_BITS = 15
_LARGEST_SUM = (1 << 30) - 1


@dataclass(frozen=True)
class Product:
    """How a product becomes an output, see templates/kernels/plain/product.h.

    factor  a power of two that products are multiplied by before
    """

    form: str = code()
    has_sign: bool = code()
    low: int = code()
    high: int = code()
    factor: int = size()
    multiplier: int = data()
    lower: int = data()
    half: int = data()
    offset: int = data()
    right: int = size(inner=True)

    def apply(self, products: Int64) -> Int64:
        """The formula in pieces over any products, before the clamp."""
        scaled: Int64 = _in_pieces(products, self.multiplier << PIECE_BITS | self.lower) + self.offset
        return (scaled + (products >> 31 if self.has_sign else 0)) >> self.right


def fit_product(products: Int64, factor: Multiplier, zero_point: int, bounds: tuple[int, int], isa: Isa) -> Product:
    """The formula for all given products, with the bounds of a fused activation."""
    low, high = bounds
    expected = np.clip(requantize(products, factor.multiplier, factor.shift) + zero_point, -128, 127)
    found = _fit_pieces(products, factor, expected, low, high)
    if found is not None:
        return found
    whole = _whole(fit_product_requant(products, factor, zero_point, low, high))
    return whole if isa.long_multiply else _first_in_pieces(whole, products) or whole


def _whole(requant: ProductRequant) -> Product:
    return Product(
        form="FT_PLAIN_PRODUCT_WHOLE",
        has_sign=requant.sign_correction,
        low=requant.low,
        high=requant.high,
        factor=requant.factor,
        multiplier=requant.multiplier,
        lower=0,
        half=0,
        offset=requant.offset,
        right=requant.right,
    )


def _first_in_pieces(whole: Product, products: Int64) -> Product | None:
    """The same with its first rounding, floor((product * multiplier + 2^30) / 2^31), by pieces; None where they are not exact."""
    if whole.factor != 2 or int(np.abs(products).max()) >= 1 << 16:
        return None
    multiplier = (whole.multiplier + 1) >> 1
    scaled, rounded = _in_pieces(products, multiplier), products * whole.multiplier + (1 << 30) >> 31
    first = int(((rounded << PIECE_BITS) - scaled).max())
    last = int((((rounded + 1) << PIECE_BITS) - scaled).min()) - 1
    if first > last or multiplier >= 1 << 2 * PIECE_BITS or int(np.abs(scaled).max()) + abs(last) >= 1 << 31:
        return None
    return replace(
        whole,
        form="FT_PLAIN_PRODUCT_TWICE",
        factor=1,
        multiplier=multiplier >> PIECE_BITS,
        lower=multiplier & ((1 << PIECE_BITS) - 1),
        half=(first + last) // 2,
    )


def _fit_pieces(products: Int64, factor: Multiplier, expected: Int64, low: int, high: int) -> Product | None:
    real = factor.multiplier * 2.0 ** (factor.shift - 31)
    largest = max(int(np.abs(products).max()), 1)
    if real <= 0.0 or largest >= 1 << 16:
        return None
    right = min(int(np.floor(np.log2((1 << 29) / (real * largest)))), 29)
    if right < 1:
        return None
    whole = round(real * (1 << right + PIECE_BITS))
    scaled = _in_pieces(products, whole)
    for has_sign in (False, True):
        first, last = offset_interval(scaled + (products >> 31 if has_sign else 0), expected, right)
        if first > last:
            continue
        offset = (first + last) // 2
        inside = int(np.abs(scaled).max()) + abs(offset) <= _LARGEST_SUM and whole < 1 << 2 * PIECE_BITS
        found = Product(
            "FT_PLAIN_PRODUCT_PIECES",
            has_sign,
            low,
            high,
            1,
            whole >> PIECE_BITS,
            whole & ((1 << PIECE_BITS) - 1),
            0,
            offset,
            right,
        )
        if inside and np.array_equal(np.clip(found.apply(products), -128, 127), expected):
            return found
    return None


def _in_pieces(products: Int64, multiplier: int) -> Int64:
    scaled: Int64 = products * multiplier >> PIECE_BITS
    return scaled
