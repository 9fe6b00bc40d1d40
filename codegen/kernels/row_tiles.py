"""Micro-kernels of convolutions over one channel: a group of neighbouring outputs ("tile") times the rows of one filter.

Values lie as int16 in scratch, two to a word, and two of them meet two taps in one instruction. A window that starts at an even
column takes the taps in pairs (0,1)(2,3).., one that starts at an odd column takes tap 0 alone, then (1,2)(3,4)..: the packed
weights have both pairings of every kernel row. Tiles start at even columns, where words are aligned.

What is multiplied by what is listed here; the template `row_tiles.j2` prints it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import Window

Int64 = npt.NDArray[np.int64]

FARTHEST_WORD = 255  # that one load of two words reaches


@dataclass(frozen=True)
class Taps:
    """How one kernel row is read: words of taps paired from an even column, and from an odd one."""

    even_words: int
    odd_words: int

    @property
    def words(self) -> int:
        return self.even_words + self.odd_words

    @property
    def firsts(self) -> list[int]:
        """The first tap of each word."""
        return [2 * k for k in range(self.even_words)] + [2 * k + 1 for k in range(self.odd_words)]


def taps_of(window: Window, out_w: int) -> Taps:
    """The pairings that the outputs of a row need."""
    if has_single_taps(window):
        return Taps(window.kernel_w, 0)  # every tap by itself
    if window.stride_w % 2 == 1 and out_w > 1:
        return Taps(max(window.kernel_w // 2, 1), (window.kernel_w - 1) // 2)
    return Taps((window.kernel_w + 1) // 2, 0)


def has_single_taps(window: Window) -> bool:
    """Whether neighbouring taps do not meet neighbouring values."""
    return window.dilation_w > 1 and window.kernel_w > 1


def row_words(row: Int64, taps: Taps, window: Window) -> Int64:
    """The words of a kernel row: pairs of taps, or with horizontal dilation each tap by itself."""
    if has_single_taps(window):
        return row
    values = [*(int(v) & 0xFFFF for v in row), 0]
    return np.array([values[k] | (values[k + 1] << 16) for k in taps.firsts], np.int64)


@dataclass(frozen=True)
class Product:
    """`acc<output>` += the values in `x` times the taps in `weights`; the first product of an output starts its sum."""

    instruction: str
    output: int
    x: str
    weights: str
    starts: bool


@dataclass(frozen=True)
class ValueWord:
    """A word of values: how many words are loaded here (it alone, with the next, none), at which offset, and its products."""

    loads: int
    offset: int
    products: tuple[Product, ...]


@dataclass(frozen=True)
class KernelRow:
    """The products of one kernel row; `base` is added to the pointer where the row is out of a load's reach."""

    base: int
    words: tuple[ValueWord, ...]


@dataclass(frozen=True)
class Tile:
    """`width` outputs that are computed together.

    step_words   from a tile to the next
    weight_words of one kernel row, and how many of these no output needs
    """

    width: int
    step_words: int
    weight_words: int
    unused: tuple[int, ...]
    needs_second: bool
    rows: tuple[KernelRow, ...]

    @property
    def outputs(self) -> range:
        return range(self.width)


def tile_of(window: Window, taps: Taps, width: int, row_step: int) -> Tile:
    """The micro-kernel of `width` outputs; `row_step` is the distance of two kernel rows in words."""
    if has_single_taps(window):
        return Tile(width, 0, 0, (), False, ())
    values = (width - 1) * window.stride_w + window.kernel_w
    words = (values + 1) // 2
    rows = []
    for ky in range(window.kernel_h):
        at = ky * row_step
        base = at if at + words > FARTHEST_WORD else 0
        row = []
        for word in range(words):
            loads = 0 if word % 2 else 1 + (word + 1 < words)
            products = tuple(_products(window, taps, width, word, ky == 0))
            row.append(ValueWord(loads, at - base + word, products))
        rows.append(KernelRow(base, tuple(row)))
    is_odd_last_unused = width == 1 and taps.odd_words and window.kernel_w % 2 == 0
    unused = (taps.words - 1,) if is_odd_last_unused else ()
    return Tile(width, width * window.stride_w // 2, taps.words, unused, values > 2, tuple(rows))


def _products(window: Window, taps: Taps, width: int, word: int, is_first_row: bool) -> Iterator[Product]:
    """The products of a word of values with all outputs whose windows it lies in."""
    is_odd = window.kernel_w % 2 == 1
    for i in range(width):
        start = i * window.stride_w
        k = word - start // 2
        if k < 0 or k > window.kernel_w // 2:
            continue
        is_last = k == window.kernel_w // 2
        found: tuple[str, int] | None = None
        if start % 2 == 0:
            if not is_last:
                found = ("ft_mac2", k)
            elif is_odd:  # the last tap alone: in the upper half of the last odd pair where there is one
                found = ("ft_mac_bt", taps.words - 1) if taps.odd_words else ("ft_mac_bb", k)
        elif k == 0:
            found = ("ft_mac_tb", 0)
        elif k <= (window.kernel_w - 1) // 2:
            found = ("ft_mac2", taps.even_words + k - 1)
        elif not is_odd:
            found = ("ft_mac_bt", taps.even_words - 1)
        if found:
            instruction, weights = found
            yield Product(instruction, i, f"x{word % 2}", f"w{weights}", is_first_row and k == 0)


@dataclass(frozen=True)
class Tiling:
    """A row of outputs: `tiles` groups of `tile`, then `rests` groups of `rest`, each group computed together."""

    tile: int
    tiles: int
    rest: int
    rests: int


def tiling(window: Window, out_w: int, taps: Taps, is_max: bool, build: Build) -> Tiling:
    """The cheapest division of a row into at most two sizes of groups that the registers can hold."""
    if has_single_taps(window):
        return Tiling(1, out_w, 0, 0)
    most = max(2, min(build.level.max_tile, build.isa.registers - 4 - taps.words))
    if is_max:
        most = min(most, 4)
    sizes = [t for t in range(1, most + 1) if t * window.stride_w % 2 == 0 or t == out_w]
    found = [Tiling(t, out_w // t, 0, 0) for t in sizes if out_w % t == 0]
    for t in sizes:
        for tiles in range(1, -(-out_w // t)):
            left = out_w - tiles * t
            found += [Tiling(t, tiles, r, left // r) for r in range(1, most + 1) if left % r == 0 and r in (*sizes, left)]

    def cost(tiling: Tiling) -> tuple[float, int]:
        rests = tiling.rests * _tile_cost(window, tiling.rest, taps, build) if tiling.rests else 0
        return tiling.tiles * _tile_cost(window, tiling.tile, taps, build) + rests, tiling.tile + tiling.rest

    return min(found, key=cost)


def _tile_cost(window: Window, tile: int, taps: Taps, build: Build) -> float:
    """Instructions of a tile, about: what lies outside of the outputs' own work."""
    values = (tile - 1) * window.stride_w + window.kernel_w
    loads = math.ceil(math.ceil(values / 2) / 2) + math.ceil(taps.words / 2)
    products = tile * (window.kernel_w // 2 + 1)
    costs = build.costs
    spills = costs.row_tile_spills if fills_registers(tile, taps, build) else 0
    return window.kernel_h * (loads + products) + costs.row_tile_output * tile + costs.row_tile + spills


def fills_registers(tile: int, taps: Taps, build: Build) -> bool:
    """Whether sums and taps leave no register beside the pointers."""
    return tile + taps.words + 4 >= build.isa.registers
