"""Depthwise convolutions, channel by channel: the channel's map is widened to int16 in scratch, with its padding.

Two neighbouring int16 values meet two taps in one instruction. A window that starts at an even column takes the taps in pairs
(0,1)(2,3).., one that starts at an odd column takes tap 0 alone, then (1,2)(3,4)..: the stream of weights has both pairings.

For each channel, the stream has for each filter ("head"): the start of its sum, then for each kernel row `even_words` and
`odd_words` words, then multiplier, offset and shift. Where the heads' maximum is taken and all have the same multiplier
and shift ("tied"), these constants come once, after the last head.

Large streams are stored compact, the taps as int8 in place of the words; each filter is widened in scratch when its turn
comes.

Maps that do not fit into MAX_PLANE_BYTES are taken in bands of rows; the rows that two bands share are kept in scratch. In the
striped form all channels of a band come before the next band: a little more work, but the output may then follow the input
through the same memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import Window
from .base import ConstArray, KernelCall, RowSchedule, SamePlace, ShapeValue, Sharing, untyped_call
from .convolution import Convolution, clamped_table, window_shape
from .gate import Gate
from .requantization import Requantization, accumulator_bounds, requantization

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MAX_PLANE_BYTES = 4096
REGISTERS = 14


@dataclass(frozen=True)
class Taps:
    """How one kernel row is read: words of taps paired from an even column, and from an odd one."""

    even_words: int
    odd_words: int

    @property
    def words(self) -> int:
        return self.even_words + self.odd_words


def depthwise_call(
    conv: Convolution,
    heads: int,
    is_max: bool,
    source: str,
    results: tuple[str, ...],
    build: Build,
    gate: Gate | None = None,
    heads_of_second: int = 0,
) -> KernelCall:
    """The kernel of a depthwise convolution with `heads` filters a channel; `is_max` keeps the largest output of these.

    conv.weights is [1, kernel_h, kernel_w, c_in * heads]. With a gate, `source` are the maps before it. The outputs of the last
    `heads_of_second` filters of each channel go to the second of two results.
    """
    requant, is_tied = _requantization(conv, heads, is_max)
    plane = plane_of(conv, build.bands.count)
    is_striped = build.bands.count > 1 and plane.bands > 1
    shape: dict[str, ShapeValue] = {**window_shape(conv), "heads": heads, "is_max": is_max, "is_tied": is_tied, **asdict(plane)}
    taps = _taps(conv)
    row = tiling(conv.attrs.window, conv.output_shape[2], taps, is_max, build.level.max_tile)
    clamps = conv.table is None or is_max
    shape |= {
        **asdict(row),
        "even_words": taps.even_words,
        "odd_words": taps.odd_words,
        "spill_out": row.tile + taps.words + 4 >= REGISTERS or (is_max and taps.words <= 2),
        "unroll_heads": heads * conv.attrs.window.kernel_h <= build.level.unrolled_rows,
        "scale": requant.rounding.value,
        "is_doubled": requant.rounding.takes_doubled,
        "clamp_low": clamps and conv.activation_min > -128,
        "clamp_high": clamps and conv.activation_max < 127,
        "heads_of_second": heads_of_second,
        "is_gated": gate is not None,
        "is_striped": is_striped,
        "from_end": is_striped and build.bands.from_end,
    }
    scalars = {"input_zero_point": conv.input_zero_point}
    if shape["clamp_low"]:
        scalars["activation_min"] = conv.activation_min
    if shape["clamp_high"]:
        scalars["activation_max"] = conv.activation_max
    stream = _stream(conv, heads, taps, requant, is_tied)
    taps_words = 0
    if stream.nbytes > build.level.depthwise_bytes and not single_taps(conv.attrs.window):
        taps_words = stream.size // conv.input_shape[3] // (1 if is_max else heads)
        stream = _stream(conv, heads, None, requant, is_tied)
    shape["taps_words"] = taps_words
    scratch_bytes = plane.size_bytes + 4 * taps_words
    inputs: tuple[str, ...] = (source,)
    if gate is not None:
        shape |= gate.shape
        scalars |= gate.scalars
        inputs = (source, gate.coefficients)
        scratch_bytes += 256 if gate.has_table else 0
    arrays = [ConstArray("weights", stream)]
    if conv.table is not None:
        arrays.append(ConstArray("table", clamped_table(conv)))
    sharing = _sharing(conv, plane, 1 if is_max else heads - heads_of_second, shape)
    return untyped_call(
        "depthwise_conv_2d",
        shape,
        inputs,
        results,
        arrays=tuple(arrays),
        scalars=scalars,
        scratch_bytes=scratch_bytes,
        sharing={} if sharing is None else {source: sharing},
    )


def _sharing(conv: Convolution, plane: Plane, heads: int, shape: Mapping[str, ShapeValue]) -> Sharing | None:
    """How the first result, with `heads` maps a channel, may lie on the input."""
    if shape["is_striped"]:
        return _stripe_schedule(conv, plane, heads, bool(shape["from_end"]))
    return SamePlace() if heads == 1 and _bands_run_behind(conv, plane) else None


def _stripe_schedule(conv: Convolution, plane: Plane, heads: int, from_end: bool) -> RowSchedule:
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


def _filters(conv: Convolution) -> Int64:
    """[c_out, kernel_h, kernel_w]"""
    filters: Int64 = np.moveaxis(conv.weights[0], 2, 0).astype(np.int64)
    return filters


def _requantization(conv: Convolution, heads: int, is_max: bool) -> tuple[Requantization, bool]:
    """The layer's requantization, and whether the heads' maximum may be taken before it."""
    filters = _filters(conv)
    low, high = accumulator_bounds(filters.reshape(len(filters), -1), conv.bias, conv.input_zero_point)
    reach = np.maximum(np.abs(low), np.abs(high))
    factors = np.stack([conv.multiplier, conv.shift], axis=1).reshape(-1, heads, 2)
    is_tied = is_max and bool((factors == factors[:, :1]).all())
    if is_tied:
        reach = np.repeat(reach.reshape(-1, heads).max(axis=1), heads)
    return requantization(conv, reach), is_tied


def _taps(conv: Convolution) -> Taps:
    w = conv.attrs.window
    if single_taps(w):
        return Taps(w.kernel_w, 0)  # every tap by itself
    if w.stride_w % 2 == 1 and conv.output_shape[2] > 1:
        return Taps(max(w.kernel_w // 2, 1), (w.kernel_w - 1) // 2)
    return Taps((w.kernel_w + 1) // 2, 0)


@dataclass(frozen=True)
class Tiling:
    """A row of outputs: `tiles` groups of `tile`, then `rests` groups of `rest`, each group computed together."""

    tile: int
    tiles: int
    rest: int
    rests: int


def tiling(window: Window, out_w: int, taps: Taps, is_max: bool, max_tile: int) -> Tiling:
    """The cheapest division of a row into at most two sizes of groups that the registers can hold.

    Groups start at even columns of the widened map, where words are aligned.
    """
    if single_taps(window):
        return Tiling(1, out_w, 0, 0)
    most = max(2, min(max_tile, REGISTERS - 4 - taps.words))
    if is_max:
        most = min(most, 4)
    sizes = [t for t in range(1, most + 1) if t * window.stride_w % 2 == 0 or t == out_w]
    found = [Tiling(t, out_w // t, 0, 0) for t in sizes if out_w % t == 0]
    for t in sizes:
        for tiles in range(1, -(-out_w // t)):
            left = out_w - tiles * t
            found += [Tiling(t, tiles, r, left // r) for r in range(1, most + 1) if left % r == 0 and r in (*sizes, left)]

    def cost(tiling: Tiling) -> tuple[float, int]:
        rests = tiling.rests * _tile_cost(window, tiling.rest, taps) if tiling.rests else 0
        return tiling.tiles * _tile_cost(window, tiling.tile, taps) + rests, tiling.tile + tiling.rest

    return min(found, key=cost)


def _tile_cost(window: Window, tile: int, taps: Taps) -> float:
    """Instructions of a tile, about: what lies outside of the outputs' own work."""
    values = (tile - 1) * window.stride_w + window.kernel_w
    loads = math.ceil(math.ceil(values / 2) / 2) + math.ceil(taps.words / 2)
    products = tile * (window.kernel_w // 2 + 1)
    spills = 10 if tile + taps.words + 4 >= REGISTERS else 0
    return window.kernel_h * (loads + products) + 5 * tile + 12 + spills


@dataclass(frozen=True)
class Plane:
    """The widened map: its size in int16, the part of the input that it takes, and the bands of output rows.

    kept_rows     rows at the end of a band that the next one needs again
    skipped_rows  rows between two bands that no window touches
    copy_lead     columns before the first that lies on a word of the widened map
    """

    plane_w: int
    plane_h: int
    copy_h: int
    copy_w: int
    copy_lead: int
    copy_unroll: int
    bands: int
    band_rows: int
    kept_rows: int
    skipped_rows: int

    @property
    def size_bytes(self) -> int:
        return 2 * self.plane_w * self.plane_h


def plane_of(conv: Convolution, stripes: int = 1) -> Plane:
    """The whole map of a channel where it fits into MAX_PLANE_BYTES, otherwise bands of equal height that do.

    stripes  the least number of bands, as far as there are rows
    """
    w = conv.attrs.window
    _, in_h, in_w, c_in = conv.input_shape
    _, out_h, out_w, _ = conv.output_shape
    span_h, span_w = (w.kernel_h - 1) * w.dilation_h + 1, (w.kernel_w - 1) * w.dilation_w + 1
    width = (out_w - 1) * w.stride_w + span_w
    height = (out_h - 1) * w.stride_h + span_h
    plane_w = width + width % 2
    most_rows = (MAX_PLANE_BYTES // (2 * plane_w) - span_h) // w.stride_h + 1
    bands = max(math.ceil(out_h / max(1, min(out_h, most_rows))), min(stripes, out_h))
    band_rows = math.ceil(out_h / bands)
    copy_w = max(0, min(in_w, width - w.pad_left))
    return Plane(
        plane_w=plane_w,
        plane_h=(band_rows - 1) * w.stride_h + span_h,
        copy_h=max(0, min(in_h, height - w.pad_top)),
        copy_w=copy_w,
        copy_lead=min(copy_w, w.pad_left % 2),
        copy_unroll=_copy_unroll(copy_w - min(copy_w, w.pad_left % 2), c_in),
        bands=math.ceil(out_h / band_rows),
        band_rows=band_rows,
        kept_rows=max(0, span_h - w.stride_h),
        skipped_rows=max(0, w.stride_h - span_h),
    )


def _copy_unroll(width: int, channels: int) -> int:
    """How many columns to copy in a turn of the loop: a multiple of 4 within the reach of one address, with little left over."""
    most = max(1, min(28, 4095 // channels))
    choices = range(4, most + 1, 4)
    return min(choices, key=lambda n: (width % n + 4 * (width // n), -n), default=4)


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


def _stream(conv: Convolution, heads: int, taps: Taps | None, requant: Requantization, is_tied: bool) -> Int32:
    """The layer's words in reading order; without `taps` compact."""
    filters = _filters(conv)
    factor = 2 if requant.rounding.takes_doubled else 1
    start = factor * (conv.bias - conv.input_zero_point * filters.sum(axis=(1, 2)))
    words: list[Int64] = []
    for channel, rows in enumerate(filters):
        words.append(start[channel : channel + 1])
        if taps is None:
            values = rows.reshape(-1).astype(np.int8).tobytes()
            words.append(np.frombuffer(values + bytes(-len(values) % 4), np.int32).astype(np.int64))
        else:
            words += [_row_words(row, taps, conv.attrs.window) for row in factor * rows]
        if not is_tied or channel % heads == heads - 1:
            words.append(requant.constants[channel].astype(np.int64))
    return np.concatenate(words).astype(np.uint64).astype(np.uint32).view(np.int32)


def _row_words(row: Int64, taps: Taps, window: Window) -> Int64:
    """The words of a kernel row: pairs of taps, or with horizontal dilation each tap by itself."""
    if single_taps(window):
        return row
    values = [*(int(v) & 0xFFFF for v in row), 0]
    firsts = [2 * k for k in range(taps.even_words)] + [2 * k + 1 for k in range(taps.odd_words)]
    return np.array([values[k] | (values[k + 1] << 16) for k in firsts], np.int64)


def single_taps(window: Window) -> bool:
    """Whether neighbouring taps do not meet neighbouring values."""
    return window.dilation_w > 1 and window.kernel_w > 1
