"""Products of each pixel's channels with all filters: a 1x1 CONV_2D of stride 1, and FULLY_CONNECTED, whose rows are pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ..build import Build
from ..ir import Op, Window
from .base import KernelCall
from .convolution import Convolution
from .gemm import Gemm, GemmKernel, gemm, own_function, pack_weights
from .im2col import pair_order, window_schedule
from .parameters import KernelParameters, code, group, size


@dataclass(frozen=True, eq=False)
class Pointwise(KernelParameters):
    """Parameters of `pointwise.c.j2`.

    what            the C function's name and what its comment calls it
    rest_bytes      channels of a pixel behind the groups of four
    fours           groups of four channels of a pixel
    tile_input, tile_output  bytes of a tile
    rest_input, rest_output, rests  the same of pixels behind the tiles, and how often
    """

    template: ClassVar[str] = "pointwise"
    shown: ClassVar[Mapping[str, str]] = {"c": "input_channels", "to": "gemm_stride"}

    what: str = code()
    rest_bytes: int = code()
    is_one_tile: bool = code()
    has_rest: bool = code()
    input_channels: int = size()
    fours: int = size()
    tiles: int = size()
    tile_input: int = size()
    tile_output: int = size()
    rest_input: int = size()
    rest_output: int = size()
    rests: int = size()
    gemm: Gemm = group()

    @property
    def name(self) -> str:
        return self.what

    @property
    def summary(self) -> str:
        what = "1x1 convolution" if self.what == "conv_1x1" else "Fully connected"
        at_once = self.gemm.kernel.pixels
        unit = "pixel" if self.what == "conv_1x1" else "row"
        return (
            f"{what}. The channels of {at_once} {unit}{'s' * (at_once > 1)} are widened to int16 pairs in `column`, then "
            "multiplied with two output channels at a time."
        )

    @property
    def stored(self) -> str:
        return self.gemm.stored

    @property
    def helpers(self) -> tuple[GemmKernel, ...]:
        return (self.gemm.kernel, self.gemm.rest) if self.has_rest else (self.gemm.kernel,)


def pointwise(conv: Convolution, what: str, num_pixels: int, op: Op, build: Build, once: bool = False) -> KernelCall:
    """The kernel call of `num_pixels` pixels, neighbours in memory; `once`: rounded like FULLY_CONNECTED."""
    c_out = conv.weights.shape[0]
    c_in = conv.weights.size // c_out
    packed = pack_weights(conv, pair_order(c_in, 1, joined=False), num_pixels, build, once)
    product, own = gemm(conv, packed, num_pixels, build, joins_rest=True)
    pixels = product.kernel.pixels
    tiles, rest = divmod(num_pixels, pixels)
    parameters = Pointwise(
        what,
        c_in % 4,
        tiles == 1,
        rest > 0,
        c_in,
        c_in // 4,
        tiles,
        pixels * c_in,
        pixels * c_out,
        product.rest.pixels * c_in,
        product.rest.pixels * c_out,
        rest // product.rest.pixels,
        product,
    )
    return KernelCall(
        parameters,
        (op.inputs[0],),
        op.outputs,
        scratch_bytes=4 * packed.pairs * pixels,
        sharing={op.inputs[0]: window_schedule((num_pixels, 1, c_in), (num_pixels, 1), c_out, Window(1, 1), pixels)},
        accumulator=packed.accumulator,
        own=own_function(replace(parameters, gemm=own), product.kernel, own.kernel, tiles * (c_out // 2), build),
    )
