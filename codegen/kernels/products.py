"""CONV_2D and FULLY_CONNECTED as products of widened windows with pairs of output channels.

The windows of up to 4 pixels are widened to int16 and interleaved in scratch; each word of weights, two channels' worth of a pair
of window elements, is then used for all of the pixels. Weights, biases and requantization constants lie in one stream of
words, in the order in which they are read:

    for each two channels: both and even start, `pairs` words (packed) or `pairs` times two words (wide), constants of the even
    channel, constants of the odd channel; for a last single channel: its start, `pairs` words, its constants

A convolution of several groups has such a stream for each, one after the other, and widens its windows group by group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import Window
from .base import ConstArray, RowSchedule, ShapeValue
from .convolution import Convolution, clamped_table
from .requantization import Rounding, accumulator_bounds, requantization

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MAX_COLUMN_BYTES = 8192


@dataclass(frozen=True, eq=False)
class Products:
    """A layer's stream of words and how the kernel reads it."""

    stream: Int32
    pairs: int
    is_wide: bool
    rounding: Rounding


def joins_rest(run_bytes: int, num_runs: int, kernel_h: int) -> bool:
    """Whether the bytes that kernel rows leave over after their groups of four are paired across the rows."""
    return num_runs == kernel_h > 1 and run_bytes % 2 == 1


def pair_order(run_bytes: int, num_runs: int, joined: bool) -> list[tuple[int, int]]:
    """Which two elements of a window share a word; -1 is none.

    A window is read in runs of neighbouring bytes; four bytes widen to the pairs (0, 2) and (1, 3). The bytes left over follow
    their run, or if `joined` all runs.
    """
    pairs: list[tuple[int, int]] = []
    left_over: list[int] = []
    for start in range(0, run_bytes * num_runs, run_bytes):
        whole = run_bytes // 4 * 4
        for i in range(start, start + whole, 4):
            pairs += [(i, i + 2), (i + 1, i + 3)]
        left_over += range(start + whole, start + run_bytes)
        if not joined:
            pairs += _neighbours(left_over)
            left_over = []
    return pairs + _neighbours(left_over)


def _neighbours(elements: list[int]) -> list[tuple[int, int]]:
    return [(elements[i], elements[i + 1] if i + 1 < len(elements) else -1) for i in range(0, len(elements), 2)]


def products(
    conv: Convolution, pairs: list[tuple[int, int]], num_pixels: int, build: Build, once: bool = False, groups: int = 1
) -> Products:
    """Pack a layer whose weights are `[c_out, ...]`; the groups' streams follow each other."""
    c_out = conv.weights.shape[0]
    weights = conv.weights.reshape(c_out, -1).astype(np.int64)
    low, high = accumulator_bounds(weights, conv.bias, conv.input_zero_point)
    reach = np.maximum(np.abs(low), np.abs(high))
    requant = requantization(conv, reach, once)
    start = conv.bias - conv.input_zero_point * weights.sum(axis=1)
    padded = np.concatenate([weights, np.zeros((c_out, 1), np.int64)], axis=1)
    lanes = padded[:, np.array(pairs)]  # [c_out, pairs, 2]; index -1 is the zero column
    share = c_out // groups
    even = np.arange(c_out).reshape(groups, share)[:, : share // 2 * 2 : 2]  # first channels of the pairs, by group
    packed = 256 * lanes[even + 1] + lanes[even]
    is_wide = bool((packed < -32768).any()) or bool((reach >= 1 << 23).any()) or is_worth_widening(weights, num_pixels, build)
    factor = 2 if requant.rounding.takes_doubled else 1
    words: list[Int64] = []
    for group in range(groups):
        for pair, a in enumerate(even[group].tolist()):
            b = a + 1
            if is_wide:
                words += [factor * start[[a, b]], _words(factor * lanes[[a, b]].transpose(1, 0, 2)).reshape(-1)]
            else:
                words += [np.stack([256 * start[b] + start[a], start[a]]), _words(packed[group, pair])]
            words += [requant.constants[a].astype(np.int64), requant.constants[b].astype(np.int64)]
        if share % 2:
            last = (group + 1) * share - 1
            constants = requant.constants[last].astype(np.int64)
            words += [factor * start[[last]], _words(factor * lanes[last]), constants]
    stream = np.concatenate(words).astype(np.uint64).astype(np.uint32).view(np.int32)
    return Products(stream, len(pairs), is_wide, requant.rounding)


def _words(lanes: Int64) -> Int64:
    """[..., 2] int16 lanes to words, low lane first."""
    words: Int64 = (lanes[..., 0] & 0xFFFF) | (lanes[..., 1] << 16)
    return words


def is_worth_widening(weights: Int64, num_pixels: int, build: Build) -> bool:
    """Whether int16 weights pay: about 1/16 instruction a product and 1.5 an output less, for a byte a weight more."""
    gain = num_pixels * (build.costs.wide_product + build.costs.wide_output / weights.shape[1])
    return weights.size <= build.level.wide_weights and gain >= build.level.wide_gain


def pixels_at_once(num_pixels: int, pairs: int) -> int:
    """How many windows are widened and multiplied together."""
    return min(num_pixels, 4, max(1, MAX_COLUMN_BYTES // (4 * pairs)))


def product_shape(conv: Convolution, packed: Products, num_pixels: int, build: Build) -> dict[str, ShapeValue]:
    """The template parameters of the multiplication."""
    pixels = pixels_at_once(num_pixels, packed.pairs)
    unroll = packed.pairs if packed.pairs <= build.level.unroll_all_pairs else build.level.unroll_pairs
    return {
        "pixels": pixels,
        "tiles": num_pixels // pixels,
        "rest_pixels": num_pixels % pixels,
        "pairs": packed.pairs,
        "unroll": unroll,
        "side_by_side": build.level.side_by_side,
        "is_wide": packed.is_wide,
        "scale": packed.rounding.value,
        "is_doubled": packed.rounding.takes_doubled,
        "clamp_low": conv.activation_min > -128 and conv.table is None,
        "clamp_high": conv.activation_max < 127 and conv.table is None,
        "has_table": conv.table is not None,
    }


def product_arrays(conv: Convolution, packed: Products) -> tuple[ConstArray, ...]:
    """The stream, and the activation's table with the clamp inside."""
    arrays = [ConstArray("weights", packed.stream)]
    if conv.table is not None:
        arrays.append(ConstArray("table", clamped_table(conv)))
    return tuple(arrays)


def product_scalars(shape: Mapping[str, ShapeValue], conv: Convolution) -> dict[str, int]:
    """What the kernel needs beside the stream."""
    scalars = {"input_zero_point": conv.input_zero_point} if shape.get("patch_bytes") else {}
    if shape["clamp_low"]:
        scalars["activation_min"] = conv.activation_min
    if shape["clamp_high"]:
        scalars["activation_max"] = conv.activation_max
    return scalars


def window_schedule(
    input_hwc: tuple[int, int, int], output_hw: tuple[int, int], c_out: int, window: Window, pixels: int, groups: int = 1
) -> RowSchedule:
    """Overlap of a kernel that reads the windows of `pixels` outputs, then writes these; with groups it does so by turns."""
    h, w, c_in = input_hwc
    out_h, out_w = output_hw
    y0 = np.arange(out_h) * window.stride_h - window.pad_top
    x0 = np.arange(out_w) * window.stride_w - window.pad_left
    first_y = _first_inside(y0, window.kernel_h, window.dilation_h, h)
    first_x = _first_inside(x0, window.kernel_w, window.dilation_w, w)
    first = np.minimum((first_y[:, np.newaxis] * w + first_x) * c_in, h * w * c_in).reshape(-1)
    first = np.minimum.accumulate(first[::-1])[::-1]  # the lowest byte that this or a later output reads
    ends = np.minimum(np.arange(pixels, out_h * out_w + pixels, pixels), out_h * out_w)
    still_read = ends if groups == 1 else np.arange(0, out_h * out_w, pixels)
    read_begin = [int(first[pixel]) if pixel < out_h * out_w else h * w * c_in for pixel in still_read]
    return RowSchedule(tuple(int(end) * c_out for end in ends), tuple(read_begin))


def _first_inside(start: Int64, taps: int, dilation: int, size: int) -> Int64:
    """The first position of each window that lies in the map, or the map's size."""
    positions = start[:, np.newaxis] + np.arange(taps) * dilation
    inside = (positions >= 0) & (positions < size)
    first: Int64 = np.where(inside, positions, size).min(axis=1)
    return first
