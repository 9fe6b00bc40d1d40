"""Depthwise convolutions in plain C, channel by channel: the channel's map lies as bytes in scratch, with its padding ("plane").

A few neighbouring outputs are computed together: of each kernel row, a few taps are held in registers, and each value that is
loaded meets all of them. Weights are the int8 of the file. Planes, bands of rows and sharing are those of `kernels/depthwise.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...build import Build, Isa
from ...fixed_point import mul_multiplier
from ...ir import ClampAttrs, FusedAttrs, Graph, Op, Window
from .. import depthwise_conv_2d, depthwise_pair, mdw_max, mul_depthwise
from ..base import KernelCall
from ..convolution import Convolution, convolution
from ..depthwise import Bands, DepthwiseForm, OutputSteps, bands_of, filters_of, map_sharing, output_steps, plane_of, plane_start
from ..depthwise_pair import joined
from ..mul import pair_products
from ..parameters import Helper, code, data, group, packed_weights, size
from .product import Product, fit_product
from .products import Outputs, outputs
from .scaling import scaling

Int8 = npt.NDArray[np.int8]

PLANE_SHIFT = 128  # of the values of a plane where they are uint8
MOST_OUTPUTS, MOST_LARGEST = 8, 4
MOST_LOOPED, MOST_UNROLLED_ROWS = 4, 3  # outputs of ARMv6-M code with a loop over kernel rows; rows of code without
FARTHEST_BYTE, LARGEST_STEP = 31, 255  # that an ARMv6-M load of a byte reaches, and that is added at a time


@dataclass(frozen=True)
class WindowSums(Helper):
    """The C function that sums up neighbouring windows as ARMv6-M code.

    A product overwrites one of its factors there, and eight registers can be multiplied: the sums are in the others, which
    additions reach. C compilers move them back and forth.

    taps  of a kernel row that are held in registers at a time
    row   from a kernel row to the next in the plane; 0: a number of the layer, if there is another row
    """

    template: ClassVar[str] = "plain/window_sums"

    kernel_h: int
    kernel_w: int
    stride: int
    taps: int
    outputs: int
    row: int

    @property
    def name(self) -> str:
        stride, row = (f"_s{self.stride}" if self.stride > 1 else ""), (f"_r{self.row}" if self.row else "")
        return f"ft_window_sums_{self.kernel_h}x{self.kernel_w}{stride}_{self.outputs}{row}"

    @property
    def summary(self) -> str:
        return f"The sums of {self.outputs} neighbouring windows, the first of which begins at x."

    @property
    def takes_row(self) -> bool:
        """Whether the distance of kernel rows is an argument."""
        return self.kernel_h > 1 and not self.row

    @property
    def is_unrolled(self) -> bool:
        """Whether kernel rows follow each other without a loop: five sums leave no register for its end."""
        return self.outputs > MOST_LOOPED or self.kernel_h == 1

    @property
    def lines(self) -> Iterator[str]:
        """The instructions of one kernel row, or of all."""
        for ky in range(self.kernel_h if self.is_unrolled else 1):
            yield from self._row(ky * self.kernel_w)
            if self.is_unrolled and ky == self.kernel_h - 1:
                return
            if not self.is_unrolled:
                yield f"adds %[w], #{self.kernel_w}"
            yield f"adds %[x], #{self.row}" if self.row else "add %[x], %[row]"

    def _row(self, begin: int) -> Iterator[str]:
        """The products of one kernel row, whose weights begin at a place behind w."""
        for first in range(0, self.kernel_w, self.taps):
            taps = min(self.taps, self.kernel_w - first)
            for k in range(taps):
                yield f"movs %[w{k}], #{begin + first + k}"
                yield f"ldrsb %[w{k}], [%[w], %[w{k}]]"
            for column in range((self.outputs - 1) * self.stride + taps):
                places = [(i, column - i * self.stride) for i in range(self.outputs)]
                products = [(i, k) for i, k in places if 0 <= k < taps]
                if products:
                    yield f"ldrb %[v], [%[x], #{first + column}]"
                for i, k in products[:-1]:
                    yield "movs %[t], %[v]"
                    yield f"muls %[t], %[w{k}]"
                    yield f"add %[s{i}], %[t]"
                for i, k in products[-1:]:
                    yield f"muls %[v], %[w{k}]"
                    yield f"add %[s{i}], %[v]"


@dataclass(frozen=True)
class ChannelProducts:
    """The product of every value and its channel's scale; with a table, of all values first.

    table_at  bytes into scratch, where the entry for 0 lies
    """

    has_table: bool = code()
    maps_offset: int = data()
    scales_offset: int = data()
    table_at: int | None = size()
    product: Product = group()


@dataclass(frozen=True, eq=False)
class Depthwise(DepthwiseForm):
    """A depthwise convolution; sizes are in values.

    taps        of a kernel row that are held in registers at a time
    tile, rest  outputs that are computed together: a row has `tiles` tiles and `rests` rests
    filters     of a channel; for the maximum all of them, else those of the first result
    """

    template: ClassVar[str] = "plain/depthwise_conv_2d"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}
    window: tuple[int, int] = code()
    stride: tuple[int, int] = code()
    dilation: tuple[int, int] = code()
    is_max: bool = code()
    is_tied: bool = code()
    has_filters: bool = code()
    has_second: bool = code()
    taps: int = code()
    tile: int = code()
    rest: int = code()
    tile_sums: WindowSums | None = code()
    rest_sums: WindowSums | None = code()
    is_unrolled: bool = code()
    is_signed: bool = code()
    reads_map: bool = code()
    is_scaled: bool = code()
    band_form: str = code()
    from_end: bool = code()
    channels: int = size()
    filters: int | None = size()
    filters_of_second: int | None = size()
    filter_taps: int = code()
    plane_bytes: int = size()
    row_values: int = size()
    kernel_row_values: int = size(inner=True)
    top_step: int = size()
    out_h: int | None = size()
    tiles: int = size()
    rests: int | None = size()
    plane_start: int | None = size()
    in_row: int | None = size()
    copy_h: int | None = size()
    copy_w: int | None = size()
    bands: Bands | None = group()
    zero_point: int = data()
    weights: Int8 = packed_weights()
    outputs: Outputs = group()
    scaling: ChannelProducts | None = group()
    steps: OutputSteps = group()
    steps_of_second: OutputSteps | None = group()

    @property
    def stored(self) -> str:
        return "int8"

    @property
    def helpers(self) -> tuple[Helper, ...]:
        return tuple(helper for helper in (self.tile_sums, self.rest_sums) if helper)

    @property
    def summary(self) -> str:
        bands = "In each band of rows one" if self.band_form == "banded" else "One"
        text = f"{self.about}. {bands} channel at a time is copied with its padding to `plane`;"
        return f"{text} {self.tile} outputs are made together."


@dataclass(frozen=True)
class Filters:
    """Filters of a channel: of all results, of the second result, and whether the largest output of all is the result."""

    count: int
    of_second: int = 0
    is_max: bool = False

    @property
    def of_first(self) -> int:
        return self.count - self.of_second

    @property
    def results(self) -> int:
        """Maps of the first result for each channel."""
        return 1 if self.is_max else self.of_first


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a DEPTHWISE_CONV_2D, alone or with the table of its activation."""
    conv = convolution(op, graph)
    if _is_faster_in_lanes(conv, build, is_max=False):
        return depthwise_conv_2d.select(op, graph, build)
    return depthwise_call(conv, Filters(conv.attrs.depth_multiplier), op.inputs[:1], op.outputs, build)


def select_max(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a fused multihead depthwise convolution and Max-out."""
    conv = convolution(op, graph)
    if _is_faster_in_lanes(conv, build, is_max=True):
        return mdw_max.select(op, graph, build)
    return depthwise_call(conv, Filters(conv.attrs.depth_multiplier, is_max=True), op.inputs[:1], op.outputs, build)


def select_pair(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of two depthwise convolutions with the same window and input."""
    assert isinstance(op.attrs, FusedAttrs)
    first, second = (convolution(step, graph) for step in op.attrs.body)
    if _is_faster_in_lanes(first, build, is_max=False):
        return depthwise_pair.select(op, graph, build)
    counts = (first.attrs.depth_multiplier, second.attrs.depth_multiplier)
    results = tuple(step.output for step in op.attrs.body)
    return depthwise_call(joined(first, second), Filters(sum(counts), of_second=counts[1]), op.inputs[:1], results, build)


def select_scaled(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a fused channel scale and depthwise convolution."""
    assert isinstance(op.attrs, FusedAttrs)
    conv, mul = convolution(op, graph), op.attrs.body[0]
    if _is_faster_in_lanes(conv, build, is_max=False):
        return mul_depthwise.select(op, graph, build)
    filters = Filters(conv.attrs.depth_multiplier)
    return depthwise_call(conv, filters, mul.inputs, op.outputs, build, _channel_products(mul, graph, build))


def _is_faster_in_lanes(conv: Convolution, build: Build, is_max: bool) -> bool:
    """Whether few outputs share a value: the kernels of other instruction sets then take less, by up to 30 %, as counted."""
    w = conv.attrs.window
    is_single = w.kernel_h == w.kernel_w == 1
    return (is_max and w.dilation_w > 1) or (build.isa.loads_signed and (is_single or (is_max and w.stride_w > 1)))


def depthwise_call(
    conv: Convolution,
    filters: Filters,
    inputs: tuple[str, ...],
    results: tuple[str, ...],
    build: Build,
    products: ChannelProducts | None = None,
) -> KernelCall:
    """The kernel of a depthwise convolution over a map, or over its products with the second input."""
    w, isa, channels = conv.attrs.window, build.isa, conv.input_shape[3]
    _, _, in_w, _ = conv.input_shape
    _, out_h, out_w, _ = conv.output_shape
    plane = plane_of(conv, build.bands.count, value_bytes=1)
    is_banded = build.bands.count > 1 and plane.bands > 1
    from_end = is_banded and build.bands.from_end
    is_whole = plane.bands == 1
    reads_map = plane.copy_h > 0 and plane.copy_w > 0  # not every window lies in the padding
    is_row = out_h == w.kernel_h == 1  # one row: its length is data, what is left over of it one by one
    row = 0 if w.kernel_h == 1 else w.dilation_h * plane.plane_w
    fixed_row = row if row <= LARGEST_STEP and not build.level.merges_inner else 0
    has_step = w.kernel_h > 1 and not fixed_row
    most = MOST_OUTPUTS
    if not isa.loads_signed:  # five upper registers hold the sums, the loop's end and the step
        most = MOST_LOOPED - 1 if has_step else 5 if w.kernel_h <= MOST_UNROLLED_ROWS else MOST_LOOPED
    taps, tile, tiles, rest = _tiling(w, out_w, min(most, MOST_LARGEST) if filters.is_max else most, isa, is_row)
    rests = 1 if rest else 0
    if is_row:
        rest, rests = 1, out_w - tiles * tile
    scale = scaling(
        conv,
        filters_of(conv).reshape(channels * filters.count, -1),
        isa,
        heads=filters.count if filters.is_max else 1,
        input_shift=0 if isa.loads_signed else PLANE_SHIFT,
    )

    def own_sums(outputs: int) -> WindowSums | None:
        if isa.loads_signed or w.dilation_w > 1 or w.kernel_w + MOST_OUTPUTS * w.stride_w > FARTHEST_BYTE:
            return None
        return WindowSums(w.kernel_h, w.kernel_w, w.stride_w, taps, outputs, fixed_row)

    words = scale.channels.reshape(channels, filters.count, 4)[:, :, 1:]
    scratch_bytes = (plane.size_bytes + 3) // 4 * 4
    if products is not None and products.has_table:
        products = replace(products, table_at=scratch_bytes + 128)
        scratch_bytes += 256
    parameters = Depthwise(
        window=(w.kernel_h, w.kernel_w),
        stride=(w.stride_h, w.stride_w),
        dilation=(w.dilation_h, w.dilation_w),
        is_max=filters.is_max,
        is_tied=filters.is_max and bool((words == words[:, :1]).all()),
        has_filters=filters.of_first > 1,
        has_second=filters.of_second > 0,
        taps=taps,
        tile=tile,
        rest=rest,
        tile_sums=own_sums(tile),
        rest_sums=own_sums(rest) if rest else None,
        is_unrolled=isa.loads_signed and w.kernel_h <= build.level.unrolled_rows,
        is_signed=isa.loads_signed,
        reads_map=reads_map,
        is_scaled=products is not None,
        band_form="banded" if is_banded else "whole" if is_whole else "bands",
        from_end=from_end,
        channels=channels,
        filters=filters.of_first if filters.of_first > 1 else None,
        filters_of_second=filters.of_second or None,
        filter_taps=w.kernel_h * w.kernel_w,
        plane_bytes=plane.size_bytes,
        row_values=plane.plane_w,
        kernel_row_values=row,
        top_step=w.stride_h * plane.plane_w,
        out_h=out_h if is_whole else None,
        tiles=tiles,
        rests=rests if rest else None,
        plane_start=plane_start(conv, plane) if reads_map else None,
        in_row=in_w * channels if reads_map and is_whole else None,
        copy_h=plane.copy_h if reads_map and is_whole else None,
        copy_w=plane.copy_w if reads_map else None,
        bands=None if is_whole else bands_of(conv, plane, is_banded, build.bands.from_end, reads_map),
        zero_point=conv.input_zero_point,
        weights=filters_of(conv).astype(np.int8).reshape(-1),
        outputs=outputs(conv, scale, clamps_before_table=filters.is_max),
        scaling=products if reads_map else None,
        steps=output_steps(conv, filters.results),
        steps_of_second=output_steps(conv, filters.of_second) if filters.of_second else None,
    )
    sharing = map_sharing(conv, plane, filters.results, is_banded, from_end)
    return KernelCall(
        parameters,
        inputs,
        results,
        scratch_bytes,
        {} if sharing is None else {inputs[0]: sharing},
        (scale.low, scale.high),
        is_banded,
    )


def _channel_products(mul: Op, graph: Graph, build: Build) -> ChannelProducts:
    """The arithmetic of a MUL of maps [1, H, W, C] by coefficients [1, 1, 1, C]."""
    assert isinstance(mul.attrs, ClampAttrs)
    maps, coefficients, scaled = (graph.tensor(name) for name in (*mul.inputs, mul.output))
    factor = mul_multiplier(maps.scale, coefficients.scale, scaled.scale)
    bounds = (mul.attrs.activation_min, mul.attrs.activation_max)
    product = fit_product(pair_products(maps, coefficients), factor, scaled.zero_point, bounds, build.isa)
    pixels, costs = maps.num_elements // coefficients.num_elements, build.costs
    has_table = costs.scale_lookup + costs.product_table / pixels < costs.scale_product + product.has_sign
    return ChannelProducts(has_table, -maps.zero_point, -coefficients.zero_point, None, product)


def _tiling(window: Window, out_w: int, most: int, isa: Isa, is_row: bool) -> tuple[int, int, int, int]:
    """Taps at a time, outputs of a tile, tiles of a row, and outputs left over: with the fewest loads and turns."""
    most_taps = 4 if isa.loads_signed else 3
    chunks = math.ceil(window.kernel_w / most_taps)
    taps = math.ceil(window.kernel_w / chunks)
    most = min(most, isa.registers - 3 - taps) if isa.loads_signed else most
    most = most if is_row else min(most, out_w)

    def cost(outputs: int) -> int:
        columns = (outputs - 1) * window.stride_w + taps if window.dilation_w == 1 else outputs * taps
        return window.kernel_h * (chunks * (columns + taps) + 2) + 8 if outputs else 0

    if is_row:
        return taps, most, out_w // most, out_w % most
    tile = min(range(1, most + 1), key=lambda tile: (out_w // tile * cost(tile) + cost(out_w % tile), -tile))
    return taps, tile, out_w // tile, out_w % tile
