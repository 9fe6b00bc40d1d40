"""Depthwise convolutions, channel by channel: the channel's map is widened to int16 in scratch, with its padding ("plane").

The sums of a tile of outputs are micro-kernels (`row_tiles.py`). For each channel, the packed weights have for each filter
("head"): the start of its sum, then for each kernel row the words of its taps, then multiplier, offset and, where the form needs
one, shift. Where the heads' maximum is taken and all have the same multiplier and shift ("tied"), these constants come once,
after the last head.

Large weights are stored compact, the taps as int8 in place of the words; each filter is widened in scratch when its turn comes,
and its offset made of the shift and of the layer's zero point, where it is that.

Maps that do not fit into MAX_PLANE_BYTES are taken in bands of rows; the rows that two bands share are kept in scratch. In the
banded form all channels of a band come before the next band: a little more work, but the output may then follow the input
through the same memory.

Layers of the same window, stride and width of rows share a function: channels, filters, heights and bands are data. One that is
worth a function of its own has them as literals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from .accumulators import accumulator_bounds
from .base import KernelCall, OwnFunction, RowSchedule, SamePlace, Sharing
from .channel_scale import ChannelScale
from .convolution import Convolution, clamped_table, lying
from .depthwise_global import depthwise_global, is_global
from .parameters import KernelParameters, array, code, data, group, packed_weights, size
from .requantization import Requantization, fine_requantization, requantization
from .row_tiles import Taps, Tile, fills_registers, has_single_taps, row_words, taps_of, tile_of, tiling

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MAX_PLANE_BYTES = 4096
SMALL_ROWS = 6  # of outputs: the loops over so few are left to the C compiler, which unrolls them ..
UNROLLED_BYTES = 1.8  # .. to so many times the code


@dataclass(frozen=True)
class ChannelScaling:
    """The product of every value and its channel's scale, as `ProductRequant` rounds it; with a table, of all values first."""

    has_table: bool = code()
    factor: int | None = size()
    right: int | None = size()
    sign_correction: bool = code()
    low: int = code()
    high: int = code()
    maps_offset: int = data()
    scales_offset: int = data()
    multiplier: int = data()
    output_offset: int = data()
    table_at: int | None = size()  # bytes into scratch, where entry 0 lies


@dataclass(frozen=True)
class Compact:
    """Taps that are stored as int8: their words, and how four bytes' lanes become pairs.

    taps_at     bytes into scratch, where the words of a channel's filters lie
    tap_words   of a filter without its constants, in flash
    lanes       (group of four taps, byte at which it lies in a row, whether its odd lanes are needed)
    pairs       C expressions of a row's words
    half_steps  2 * zero point + 1, of which the offsets are multiples by powers of two, or None: they are stored
    """

    taps_at: int = size()
    tap_words: int = code()
    rows: int = code()
    is_rolled: bool = code()
    row_bytes: int = code()
    is_doubled: bool = code()
    lanes: tuple[tuple[int, bool], ...] = code()
    pairs: tuple[str, ...] = code()
    half_steps: int | None = data()


@dataclass(frozen=True)
class RowCopy:
    """How a row of a channel becomes int16: `lead` columns up to a word, turns of `unroll` columns, `fours`, then the `rest`."""

    lead: int = code()
    unroll: int = code()
    turns: int = code()
    fours: int = code()
    rest: int = code()
    from_step: int | None = size()  # values from the end of a row to its channel in the next row
    to_step: int = code()


@dataclass(frozen=True)
class Bands:
    """Bands of output rows: their number and height, the rows of input that they read, and those that two of them share."""

    count: int | None = size()
    last: int | None = size()
    h: int = size()
    out_h: int = size()
    pixels: int = size()
    rows_in: int | None = size()
    load_rows: int | None = size()
    in_h: int | None = size()
    in_row: int | None = size()
    pad_top: int | None = size()
    kept_rows: int | None = size()
    kept_from: int | None = size()
    kept_values: int | None = size()
    kept_bytes: int | None = size()
    skipped_rows: int | None = size()


@dataclass(frozen=True)
class OutputSteps:
    """From an output to the next one of its row, and to the one below."""

    out: int = size()
    row: int = size()


class DepthwiseForm(KernelParameters):
    """How a function is called and described that computes a depthwise convolution, whatever it is written in."""

    window: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    is_max: bool
    has_second: bool
    scaling: object | None

    @property
    def name(self) -> str:
        kind = "scaled_" if self.scaling else ""
        what = "depthwise_max" if self.is_max else "depthwise_pair" if self.has_second else "depthwise_conv_2d"
        window, stride = ("x".join(map(str, sizes)) for sizes in (self.window, self.stride))
        return f"{kind}{what}_{window}" + (f"_s{stride}" if self.stride != (1, 1) else "")

    @property
    def about(self) -> str:
        """What it computes."""
        text = f"{self.window[0]}x{self.window[1]} depthwise convolution, stride {self.stride[0]}x{self.stride[1]}"
        if self.dilation != (1, 1):
            text += f", dilation {self.dilation[0]}x{self.dilation[1]}"
        if self.is_max:
            text += ", the largest of a channel's filters"
        if self.has_second:
            text += ", of two layers over one map"
        return text + ", of a map times a scale for each channel" if self.scaling else text


@dataclass(frozen=True, eq=False)
class DepthwiseConv(DepthwiseForm):
    """A depthwise convolution. Sizes are in values of int8 or int16 where nothing else is said.

    keeps_loops   whether the C compiler is kept from unrolling loops whose counts it can see
    is_row        whether the output is one row, whose tiles take the place of rows
    band_form     "whole", "bands" of each channel, or "banded": bands of all channels
    heads         filters a channel, of the first result and of the second; for the maximum all of them
    """

    template: ClassVar[str] = "depthwise_conv_2d"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}
    window: tuple[int, ...] = code()
    stride: tuple[int, ...] = code()
    dilation: tuple[int, ...] = code()
    is_max: bool = code()
    is_tied: bool = code()
    heads_unrolled: int = code()
    has_heads: bool = code()
    has_second: bool = code()
    has_heads_of_second: bool = code()
    keeps_loops: bool = code()
    single_taps: bool = code()
    row_values: int = code()
    step_values: int = code()
    column_step: int = code()
    kernel_row_values: int = code()
    tile: Tile = code()
    has_tiles: bool = code()
    rest: Tile | None = code()
    has_rests: bool = code()
    is_row: bool = code()
    spills_next: bool = code()
    scale: str = code()
    clamp_low: bool = code()
    clamp_high: bool = code()
    band_form: str = code()
    from_end: bool = code()
    channels: int = size()
    heads: int | None = size()
    heads_of_second: int | None = size()
    filter_words: int | None = size()
    plane_words: int = size()
    out_h: int | None = size()
    tiles: int | None = size()
    rests: int | None = size()
    top_step: int = code()
    plane_start: int | None = size()
    copy_h: int | None = size()
    copy_w: int = code()
    bands: Bands | None = group()
    zero_point: int = data()
    activation_min: int | None = data()
    activation_max: int | None = data()
    weights: Int32 = packed_weights()
    table: Int8 | None = array()
    scaling: ChannelScaling | None = group()
    compact: Compact | None = group()
    copy: RowCopy | None = group()
    steps: OutputSteps = group()
    steps_of_second: OutputSteps | None = group()

    @property
    def stored(self) -> str:
        return "int8" if self.compact else "int16"

    @property
    def summary(self) -> str:
        bands = "In each band of rows one" if self.band_form == "banded" else "One"
        return f"{self.about}. {bands} channel at a time, widened to int16 with its padding in `plane`."


def depthwise_call(
    conv: Convolution,
    heads: int,
    is_max: bool,
    source: str,
    results: tuple[str, ...],
    build: Build,
    scale: ChannelScale | None = None,
    heads_of_second: int = 0,
) -> KernelCall:
    """The kernel of a depthwise convolution with `heads` filters a channel; `is_max` keeps the largest output of these.

    conv.weights is [1, kernel_h, kernel_w, c_in * heads]. With a channel scale, `source` are the maps before it. The outputs of
    the last `heads_of_second` filters of each channel go to the second of two results.
    """
    if heads == 1 and not heads_of_second and scale is None and is_global(conv):
        return depthwise_global(conv, source, results)
    fits = 2 * (conv.input_shape[1] + conv.attrs.window.pad_top) <= MAX_PLANE_BYTES
    if fits and build.bands.count == 1 and not build.level.merges_inner:
        conv = lying(conv)
    coarse, requant, is_tied, bounds = _requantization(conv, heads, is_max)
    w = conv.attrs.window
    channels, out_h = conv.input_shape[3], conv.output_shape[1]
    plane = plane_of(conv, build.bands.count)
    is_banded = build.bands.count > 1 and plane.bands > 1
    reads_maps = plane.copy_h > 0 and plane.copy_w > 0  # not every window lies in the padding
    taps = taps_of(w, conv.output_shape[2])
    row = tiling(w, conv.output_shape[2], taps, is_max, build)
    row_step = w.dilation_h * plane.plane_w // 2
    clamps = conv.table is None or is_max
    clamp_low, clamp_high = clamps and conv.activation_min > -128, clamps and conv.activation_max < 127
    constants = requant.constants[:, :2] if requant.rounding.is_fine else requant.constants
    weights = _packed_weights(conv, heads, taps, requant.factors, constants, is_tied)
    compact = None
    filter_words = 1 + w.kernel_h * taps.words
    scratch_bytes = plane.size_bytes
    is_smaller = w.kernel_h * taps.words > (w.kernel_h * w.kernel_w + 3) // 4
    if weights.nbytes > build.level.depthwise_bytes and is_smaller and not has_single_taps(w):
        requant = coarse  # taps that are widened in scratch are multiplied there, all by the same
        compact = _compact(conv, taps, requant, plane.size_bytes, build)
        scratch_bytes += 4 * _group_words(filter_words, 3, heads if is_max else 1, is_tied)
        stored = requant.constants if compact.half_steps is None else requant.constants[:, ::2]
        weights = _packed_weights(conv, heads, None, requant.factors, stored, is_tied)
    inputs: tuple[str, ...] = (source,)
    scaling = None
    if scale is not None:
        inputs = (source, scale.coefficients)
        scaling = _scaling(scale, scratch_bytes + 128, reads_maps)
        scratch_bytes += 256 if scale.has_table else 0
    first_heads = 1 if is_max else heads - heads_of_second
    has_heads = heads > 1 if is_max else first_heads > 1
    parameters = DepthwiseConv(
        window=(w.kernel_h, w.kernel_w),
        stride=(w.stride_h, w.stride_w),
        dilation=(w.dilation_h, w.dilation_w),
        is_max=is_max,
        is_tied=is_tied,
        heads_unrolled=heads if is_max and heads * w.kernel_h <= build.level.unrolled_rows else 0,
        has_heads=has_heads,
        has_second=heads_of_second > 0,
        has_heads_of_second=heads_of_second > 1,
        keeps_loops=build.level.merges_outer,
        single_taps=has_single_taps(w),
        row_values=plane.plane_w,
        step_values=w.stride_w,
        column_step=w.dilation_w,
        kernel_row_values=w.dilation_h * plane.plane_w,
        tile=tile_of(w, taps, row.tile, row_step),
        has_tiles=row.tiles > 1,
        rest=tile_of(w, taps, row.rest, row_step) if row.rests else None,
        has_rests=row.rests > 1,
        is_row=out_h == 1 and max(row.tiles, row.rests) > 1 and not has_single_taps(w),
        spills_next=fills_registers(row.tile, taps, build) or (is_max and taps.words <= 2),
        scale=requant.rounding.value,
        clamp_low=clamp_low,
        clamp_high=clamp_high,
        band_form="banded" if is_banded else "bands" if plane.bands > 1 else "whole",
        from_end=is_banded and build.bands.from_end,
        channels=channels,
        heads=(heads if is_max else first_heads) if has_heads else None,
        heads_of_second=heads_of_second if heads_of_second > 1 else None,
        filter_words=None if compact else _group_words(filter_words, constants.shape[1], heads if is_max else 1, is_tied),
        plane_words=plane.plane_w * plane.plane_h // 2,
        out_h=out_h if plane.bands == 1 else None,
        tiles=row.tiles if row.tiles > 1 else None,
        rests=row.rests if row.rests > 1 else None,
        top_step=w.stride_h * plane.plane_w // 2,
        plane_start=plane_start(conv, plane) if reads_maps else None,
        copy_h=plane.copy_h if reads_maps and plane.bands == 1 else None,
        copy_w=plane.copy_w,
        bands=bands_of(conv, plane, is_banded, build.bands.from_end, reads_maps) if plane.bands > 1 else None,
        zero_point=conv.input_zero_point,
        activation_min=conv.activation_min if clamp_low else None,
        activation_max=conv.activation_max if clamp_high else None,
        weights=weights,
        table=clamped_table(conv) if conv.table is not None else None,
        scaling=scaling,
        compact=compact,
        copy=_row_copy(conv, plane, build.level.copied_columns) if reads_maps else None,
        steps=output_steps(conv, first_heads),
        steps_of_second=output_steps(conv, heads_of_second) if heads_of_second else None,
    )
    sharing = map_sharing(conv, plane, first_heads, is_banded, parameters.from_end)
    return KernelCall(
        parameters,
        inputs,
        results,
        scratch_bytes,
        {} if sharing is None else {source: sharing},
        bounds,
        is_banded,
        _own_function(parameters, conv, heads, row.tiles + row.rests, build),
    )


def _own_function(parameters: DepthwiseConv, conv: Convolution, heads: int, columns: int, build: Build) -> OwnFunction | None:
    """The same with sizes of its own, on small maps with loops as the C compiler likes them; at size there is none."""
    if not build.level.merges_outer or build.level.merges_inner:
        return None
    costs, out_h, (_, in_h, _, channels) = build.costs, conv.output_shape[1], conv.input_shape
    filters = channels * (1 if parameters.is_max else heads)
    is_small, code_bytes = out_h <= SMALL_ROWS, _code_bytes(parameters)
    return OwnFunction(
        replace(parameters, keeps_loops=not is_small),
        (costs.own_depthwise_column * filters * columns + costs.own_depthwise_row * in_h * channels) * is_small,
        costs.own_depthwise_tile * filters * columns * out_h,
        UNROLLED_BYTES * code_bytes if is_small else code_bytes,
        code_bytes,
    )


def _code_bytes(p: DepthwiseConv) -> float:
    """Of the function, about: its products, the columns that are widened and the taps."""
    products = p.window[0] * (p.window[1] // 2 + 1) * sum(tile.width for tile in (p.tile, p.rest) if tile)
    columns = 0 if p.copy is None else p.copy.lead + p.copy.unroll * (p.copy.turns > 0) + 4 * p.copy.fours + p.copy.rest
    taps = 0 if p.compact is None else p.compact.rows * len(p.compact.pairs)
    return 250 + 9 * products + (14 if p.scaling else 5) * columns + 8 * taps


def _scaling(scale: ChannelScale, table_at: int, is_used: bool) -> ChannelScaling:
    requant = scale.numbers.requant
    return ChannelScaling(
        has_table=scale.has_table,
        factor=requant.factor if is_used else None,
        right=requant.right if is_used else None,
        sign_correction=requant.sign_correction,
        low=requant.low,
        high=requant.high,
        maps_offset=scale.numbers.maps_offset,
        scales_offset=scale.numbers.coefficients_offset,
        multiplier=requant.multiplier,
        output_offset=requant.offset,
        table_at=table_at if is_used and scale.has_table else None,
    )


def _compact(conv: Convolution, taps: Taps, requant: Requantization, taps_at: int, build: Build) -> Compact:
    """How the layer's int8 taps are widened: four bytes give lanes of taps 0 and 2, and of taps 1 and 3."""
    w = conv.attrs.window
    is_rolled = w.kernel_h > build.level.unrolled_tap_rows
    return Compact(
        taps_at=taps_at,
        tap_words=(w.kernel_h * w.kernel_w + 3) // 4,
        rows=w.kernel_h,
        is_rolled=is_rolled,
        row_bytes=w.kernel_w,
        is_doubled=requant.rounding.takes_doubled,
        lanes=tuple((4 * j, 4 * j + 1 < w.kernel_w) for j in range((w.kernel_w + 3) // 4)),
        pairs=tuple(_pair(k, w.kernel_w) for k in taps.firsts),
        half_steps=requant.half_steps(conv.output_zero_point),
    )


def _pair(k: int, kernel_w: int) -> str:
    """Taps k and k + 1 of a row as a C expression of its lanes. Taps beyond the row are never multiplied."""
    even, odd, next_even = f"even{k // 4}", f"odd{k // 4}", f"even{k // 4 + 1}"
    if k + 1 >= kernel_w:
        return even if k % 4 == 0 else f"{even} >> 16"
    return (
        f"ft_pack_low({even}, {odd})",
        f"ft_pack_low_high({odd}, {even})",
        f"ft_pack_high({even}, {odd})",
        f"ft_pack_low({odd} >> 16, {next_even})",
    )[k % 4]


def plane_start(conv: Convolution, plane: Plane) -> int:
    """Where the first value of the map goes; bands of rows count their padding above themselves."""
    w = conv.attrs.window
    return w.pad_left if plane.bands > 1 else w.pad_top * plane.plane_w + w.pad_left


def bands_of(conv: Convolution, plane: Plane, is_banded: bool, from_end: bool, reads_maps: bool) -> Bands:
    """A band of all channels reads its rows anew; a band of one channel keeps those that it shares with the one before."""
    w = conv.attrs.window
    keeps = reads_maps and plane.kept_rows > 0 and not is_banded
    skips = reads_maps and plane.skipped_rows > 0 and not is_banded
    return Bands(
        count=None if is_banded and from_end else plane.bands,
        last=plane.bands - 1 if is_banded and from_end else None,
        h=plane.band_rows,
        out_h=conv.output_shape[1],
        pixels=plane.band_rows * conv.output_shape[2],
        rows_in=plane.band_rows * w.stride_h if is_banded and reads_maps else None,
        load_rows=plane.plane_h if reads_maps else None,
        in_h=conv.input_shape[1] if reads_maps else None,
        in_row=conv.input_shape[2] * conv.input_shape[3] if reads_maps else None,
        pad_top=w.pad_top if reads_maps else None,
        kept_rows=plane.kept_rows if keeps else None,
        kept_from=plane.band_rows * w.stride_h * plane.plane_w if keeps else None,
        kept_values=plane.kept_rows * plane.plane_w if keeps else None,
        kept_bytes=plane.size_bytes // plane.plane_h * plane.kept_rows if keeps else None,
        skipped_rows=plane.skipped_rows if skips else None,
    )


def output_steps(conv: Convolution, heads: int) -> OutputSteps:
    step = conv.input_shape[3] * heads
    return OutputSteps(out=step, row=conv.output_shape[2] * step)


def _row_copy(conv: Convolution, plane: Plane, most_columns: int) -> RowCopy:
    channels, in_w = conv.input_shape[3], conv.input_shape[2]
    after_lead = plane.copy_w - plane.copy_lead
    unroll = _copy_unroll(after_lead, most_columns)
    turns = after_lead // unroll
    if turns == 1:
        turns = 0  # a loop of one turn is none
    left = after_lead - turns * unroll
    return RowCopy(
        lead=plane.copy_lead,
        unroll=unroll,
        turns=turns,
        fours=left // 4,
        rest=left % 4,
        from_step=(in_w - plane.copy_w) * channels or None,
        to_step=plane.plane_w - plane.copy_w,
    )


def map_sharing(conv: Convolution, plane: Plane, heads: int, is_banded: bool, from_end: bool) -> Sharing | None:
    """How the first result, with `heads` maps a channel, may lie on the input."""
    if is_banded:
        return _band_schedule(conv, plane, heads, from_end)
    return SamePlace() if heads == 1 and _bands_run_behind(conv, plane) else None


def _band_schedule(conv: Convolution, plane: Plane, heads: int, from_end: bool) -> RowSchedule:
    """A step for each band: it reads its rows while it writes its outputs."""
    w = conv.attrs.window
    _, in_h, in_w, c_in = conv.input_shape
    _, out_h, out_w, _ = conv.output_shape
    begins = [band * plane.band_rows for band in range(plane.bands)]
    ends = [*begins[1:], out_h]
    if from_end:
        last_rows = [(end - 1) * w.stride_h - w.pad_top + (w.kernel_h - 1) * w.dilation_h for end in reversed(ends)]
        written = [out_h - begin for begin in reversed(begins)]
        unread = [in_h - 1 - row for row in last_rows]
    else:
        written, unread = ends, [begin * w.stride_h - w.pad_top for begin in begins]
    return RowSchedule(
        tuple(rows * out_w * c_in * heads for rows in written),
        tuple(min(in_h, max(0, rows)) * in_w * c_in for rows in unread),
        from_end,
    )


def filters_of(conv: Convolution) -> Int64:
    """[c_out, kernel_h, kernel_w]"""
    filters: Int64 = np.moveaxis(conv.weights[0], 2, 0).astype(np.int64)
    return filters


def _requantization(conv: Convolution, heads: int, is_max: bool) -> tuple[Requantization, Requantization, bool, tuple[int, int]]:
    """The layer's requantization, with one factor for all channels and with one each; whether the heads' maximum may be taken
    before it; and the bounds of all accumulators."""
    filters = filters_of(conv)
    low, high = accumulator_bounds(filters.reshape(len(filters), -1), conv.bias, conv.input_zero_point)
    largest = np.maximum(np.abs(low), np.abs(high))
    factors = np.stack([conv.multiplier, conv.shift], axis=1).reshape(-1, heads, 2)
    is_tied = is_max and bool((factors == factors[:, :1]).all())
    if is_tied:
        largest = np.repeat(largest.reshape(-1, heads).max(axis=1), heads)
    requant = requantization(conv, largest, least=low)
    return requant, fine_requantization(requant, largest), is_tied, (int(low.min()), int(high.max()))


@dataclass(frozen=True)
class Plane:
    """The widened map: its size in int16, the part of the input that it takes, and the bands of output rows.

    value_bytes   of a value: 2, or 1 where the map is not widened
    kept_rows     rows at the end of a band that the next one needs again
    skipped_rows  rows between two bands that no window touches
    copy_lead     columns before the first that lies on a word of the widened map
    """

    value_bytes: int
    plane_w: int
    plane_h: int
    copy_h: int
    copy_w: int
    copy_lead: int
    bands: int
    band_rows: int
    kept_rows: int
    skipped_rows: int

    @property
    def size_bytes(self) -> int:
        return self.value_bytes * self.plane_w * self.plane_h


def plane_of(conv: Convolution, least_bands: int = 1, value_bytes: int = 2) -> Plane:
    """The whole map of a channel where it fits into MAX_PLANE_BYTES, otherwise bands of equal height that do.

    least_bands  the least number of bands, as far as there are rows
    """
    w = conv.attrs.window
    _, in_h, in_w, _ = conv.input_shape
    _, out_h, out_w, _ = conv.output_shape
    span_h, span_w = (w.kernel_h - 1) * w.dilation_h + 1, (w.kernel_w - 1) * w.dilation_w + 1
    width = (out_w - 1) * w.stride_w + span_w
    height = (out_h - 1) * w.stride_h + span_h
    plane_w = width + width % 2 if value_bytes == 2 else width
    most_rows = (MAX_PLANE_BYTES // (value_bytes * plane_w) - span_h) // w.stride_h + 1
    bands = max(math.ceil(out_h / max(1, min(out_h, most_rows))), min(least_bands, out_h))
    band_rows = math.ceil(out_h / bands)
    copy_w = max(0, min(in_w, width - w.pad_left))
    return Plane(
        value_bytes=value_bytes,
        plane_w=plane_w,
        plane_h=(band_rows - 1) * w.stride_h + span_h,
        copy_h=max(0, min(in_h, height - w.pad_top)),
        copy_w=copy_w,
        copy_lead=min(copy_w, w.pad_left % 2),
        bands=math.ceil(out_h / band_rows),
        band_rows=band_rows,
        kept_rows=max(0, span_h - w.stride_h),
        skipped_rows=max(0, w.stride_h - span_h),
    )


def _copy_unroll(width: int, most: int) -> int:
    """How many columns to copy in a turn of the loop: a multiple of 4, with little left over."""
    return min(range(4, most + 1, 4), key=lambda n: (width % n + 4 * (width // n), -n))


def _bands_run_behind(conv: Convolution, plane: Plane) -> bool:
    """Whether no band overwrites input pixels that a later one still reads, when the output lies on the input."""
    w = conv.attrs.window
    _, in_h, in_w, _ = conv.input_shape
    _, _, out_w, _ = conv.output_shape
    span_h = (w.kernel_h - 1) * w.dilation_h + 1
    for band in range(1, plane.bands):
        rows_written = band * plane.band_rows
        rows_read = min(in_h, max(0, (rows_written - 1) * w.stride_h + span_h - w.pad_top))
        if rows_written * out_w > rows_read * in_w:
            return False
    return True


def _group_words(filter_words: int, constants: int, filters: int, is_tied: bool) -> int:
    """Words of filters that are read together, each with its constants, or with one group of them for all."""
    return filters * filter_words + constants * (1 if is_tied else filters)


def _packed_weights(conv: Convolution, heads: int, taps: Taps | None, factors: Int64, constants: Int32, is_tied: bool) -> Int32:
    """The layer's words in reading order; without `taps` compact."""
    filters = filters_of(conv)
    start = factors * (conv.bias - conv.input_zero_point * filters.sum(axis=(1, 2)))
    words: list[Int64] = []
    for channel, rows in enumerate(filters):
        words.append(start[channel : channel + 1])
        if taps is None:
            values = rows.reshape(-1).astype(np.int8).tobytes()
            words.append(np.frombuffer(values + bytes(-len(values) % 4), np.int32).astype(np.int64))
        else:
            words += [row_words(row, taps, conv.attrs.window) for row in factors[channel] * rows]
        if not is_tied or channel % heads == heads - 1:
            words.append(constants[channel].astype(np.int64))
    return np.concatenate(words).astype(np.uint64).astype(np.uint32).view(np.int32)
