"""Pictures computed by integer arithmetic, to try a network of pictures on: the same on every machine and installation.

Each has what photos have: a slope of light, areas with sharp edges, and texture at all scales from the whole to the pixel.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]
_Plane = npt.NDArray[np.int32]

_SHAPES = 6
_FRACTION = 256  # of a step between two grid points


def drawn_pictures(count: int, height: int, width: int, channels: int, seed: int) -> Int8:
    """[count, height, width, channels]; all of them together use int8 from end to end.

    `RandomState`, since its numbers are frozen; those of numpy's newer generators may change with a version.
    """
    random = np.random.RandomState(seed % 2**32)
    pictures = np.stack([_picture(random, height, width, channels) for _ in range(count)])
    low, high = int(pictures.min()), int(pictures.max())
    table = ((np.arange(256) - low).clip(0, max(1, high - low)) * 255 // max(1, high - low) - 128).astype(np.int8)
    return table[pictures]


def _picture(random: np.random.RandomState, height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    rows, columns = np.indices((height, width), np.int32)
    steep_y, steep_x = random.randint(-90, 91, 2).tolist()
    light: _Plane = (steep_y * rows // height + steep_x * columns // width).astype(np.int32)
    for bits in range(1, max(height, width).bit_length()):
        light += _noise(random, height, width, 1 << bits, 48 >> min(bits // 2, 3))
    tint = random.randint(60, 196, channels).tolist()
    planes = [light + base for base in tint]
    for _ in range(_SHAPES):
        inside = _shape(random, rows, columns)
        colour = random.randint(0, 256, channels).tolist()
        planes = [np.where(inside, (plane + 3 * own) // 4, plane) for plane, own in zip(planes, colour, strict=True)]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def _noise(random: np.random.RandomState, height: int, width: int, cells: int, strength: int) -> _Plane:
    """[height, width] of -strength to strength: random values at the corners of cells, interpolated between them."""
    over, across = min(cells, height), min(cells, width)  # a cell is a pixel at least: a recording may be 8 high and 16,000 wide
    corners = random.randint(-strength, strength + 1, (over + 1, across + 1)).astype(np.int32)
    row, down = _places(height, over)
    column, right = _places(width, across)
    along = corners[:, column] * (_FRACTION - right) + corners[:, column + 1] * right
    found = along[row] * (_FRACTION - down[:, None]) + along[row + 1] * down[:, None]
    return np.asarray(found // (_FRACTION * _FRACTION), np.int32)


def _places(pixels: int, cells: int) -> tuple[_Plane, _Plane]:
    """For each pixel its cell, and how far into it the pixel lies."""
    cell, within = np.divmod(np.arange(pixels, dtype=np.int64) * (cells * _FRACTION) // pixels, _FRACTION)
    return cell.astype(np.int32), within.astype(np.int32)


def _shape(random: np.random.RandomState, rows: _Plane, columns: _Plane) -> npt.NDArray[np.bool_]:
    """Where a disc, a rectangle or stripes lie."""
    height, width = rows.shape
    kind, period = random.randint(3), random.randint(2, 9)
    y, x = random.randint(height), random.randint(width)
    h, w = 1 + random.randint(max(1, height // 2)), 1 + random.randint(max(1, width // 2))
    rectangle = (abs(rows - y) < h) & (abs(columns - x) < w)
    if kind == 0:
        return np.asarray(rectangle)
    if kind == 1:
        return np.asarray((rows - y) ** 2 + (columns - x) ** 2 < min(h, w) ** 2)
    return np.asarray(rectangle & ((rows + columns) // period % 2 == 0))
