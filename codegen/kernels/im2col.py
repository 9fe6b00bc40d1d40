"""Windows as runs of bytes and as int16 pairs, and how a kernel that reads tiles of them may share its output's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..ir import Window
from .base import RowSchedule

Int64 = npt.NDArray[np.int64]
T = TypeVar("T")

MOST_UNROLLED_FOURS = 4  # groups of four bytes of one window's run that are widened without a loop; side by side one less
FEW_BYTES = 8  # that are copied without a call


@dataclass(frozen=True)
class Im2col:
    """How windows of a map become int16 pairs in scratch: everything that `im2col.j2` writes as numbers.

    h, w, c        the input map;  out_w  windows in a row
    groups         of channels, one after the other; each reads `share` channels of a pixel
    run_bytes      neighbouring bytes that a window reads at a time, `num_runs` times
    joins_rest     whether the bytes that runs leave over are paired across the runs
    is_padded      whether a window touches the padding
    side_by_side   whether windows inside the map have a faster path
    """

    h: int
    w: int
    c: int
    out_w: int
    window: Window
    groups: int
    share: int
    run_bytes: int
    num_runs: int
    joins_rest: bool
    is_padded: bool
    side_by_side: bool

    @property
    def last_top(self) -> int:
        """The lowest row at which a window inside the map begins; negative: none is."""
        return self.h - 1 - (self.window.kernel_h - 1) * self.window.dilation_h

    @property
    def last_left(self) -> int:
        """The rightmost column at which a window inside the map begins; negative: none is."""
        return self.last_left_of(1)

    def last_left_of(self, pixels: int) -> int:
        """The rightmost column at which the first of `pixels` neighbouring windows inside the map begins."""
        return self.w - 1 - (self.window.kernel_w - 1) * self.window.dilation_w - (pixels - 1) * self.window.stride_w

    def is_side_by_side(self, pixels: int) -> bool:
        """Whether windows of one output row inside the map are widened together."""
        fits = self.last_top >= 0 and self.last_left_of(pixels) >= 0
        return self.side_by_side and pixels > 1 and self.num_runs == self.window.kernel_h and fits

    @property
    def row_bytes(self) -> int:
        """From one kernel row to the next, in the map."""
        return self.window.dilation_h * self.w * self.c

    @property
    def tap_bytes(self) -> int:
        """From one tap of a kernel row to the next, in the map."""
        return self.window.dilation_w * self.c

    @property
    def patch_row_bytes(self) -> int:
        """From one kernel row to the next, in a window that was copied."""
        return self.window.kernel_w * self.c

    @property
    def patch_bytes(self) -> int:
        """Of a window that was copied, all groups of it; 0 where none must be."""
        return self.window.kernel_h * self.patch_row_bytes if self.is_padded else 0

    @property
    def distance(self) -> int:
        """From one window to the next in an output row."""
        return self.window.stride_w * self.c

    @property
    def has_taps(self) -> bool:
        """Whether the taps of a kernel row are runs of their own."""
        return self.num_runs > self.window.kernel_h

    @property
    def fours(self) -> int:
        """Groups of four bytes in a run."""
        return self.run_bytes // 4

    @property
    def unrolled_fours(self) -> int:
        """Groups of four bytes that are widened without a loop, or 0."""
        return self.fours if self.fours <= MOST_UNROLLED_FOURS else 0

    @property
    def fours_in_turn(self) -> int:
        """Groups of four bytes in a turn of the loop where there is one."""
        return 4 if self.side_by_side and self.fours % 4 == 0 else 1

    @property
    def copies_rows(self) -> bool:
        """Whether the taps of a kernel row are copied together, not one by one: neighbours in the map, and no few bytes."""
        return self.window.kernel_w > 1 and self.window.dilation_w == 1 and self.c >= FEW_BYTES

    @property
    def rest(self) -> tuple[tuple[int, ...], ...]:
        """Places in a run of the bytes behind its groups of four, in twos; a byte alone meets a weight of 0."""
        return () if self.joins_rest else _in_twos(list(range(4 * self.fours, self.run_bytes)))

    @property
    def joined_rest(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The same for a window whose runs share their left over bytes: (run, place in it)."""
        if not self.joins_rest:
            return ()
        places = range(4 * self.fours, self.run_bytes)
        return _in_twos([(run, place) for run in range(self.num_runs) for place in places])

    @property
    def run_pairs(self) -> int:
        """Pairs that one run gives."""
        return 2 * self.fours + len(self.rest)


def _in_twos(values: list[T]) -> tuple[tuple[T, ...], ...]:
    return tuple(tuple(values[i : i + 2]) for i in range(0, len(values), 2))


def window_runs(window: Window, share: int, is_grouped: bool) -> tuple[int, int]:
    """How many neighbouring bytes a window reads at a time, and how many times; a group reads `share` channels of a pixel."""
    if window.kernel_w == 1 or (window.dilation_w == 1 and not is_grouped):
        return window.kernel_w * share, window.kernel_h
    return share, window.kernel_h * window.kernel_w


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
    num_pixels = out_h * out_w
    tiled = num_pixels // pixels * pixels
    ends = np.concatenate([np.arange(pixels, tiled + 1, pixels), np.arange(tiled + 1, num_pixels + 1)])  # the rest one by one
    still_read = ends if groups == 1 else np.concatenate([[0], ends[:-1]])
    read_begin = [int(first[pixel]) if pixel < num_pixels else h * w * c_in for pixel in still_read]
    return RowSchedule(tuple(int(end) * c_out for end in ends), tuple(read_begin))


def _first_inside(start: Int64, taps: int, dilation: int, size: int) -> Int64:
    """The first position of each window that lies in the map, or the map's size."""
    positions = start[:, np.newaxis] + np.arange(taps) * dilation
    inside = (positions >= 0) & (positions < size)
    first: Int64 = np.where(inside, positions, size).min(axis=1)
    return first
