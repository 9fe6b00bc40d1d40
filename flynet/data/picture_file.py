"""One picture file as colour of 8 bits, whatever it holds, and what had to be done for that. No torch here.

A file is a stranger's: only decoders inside Pillow run (not Ghostscript for an EPS that calls itself .png), nothing large is
decoded before its size is known, and whatever is wrong with it is `BadData` with its name.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from ...errors import BadData

_DECODERS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, TiffImagePlugin, WebPImagePlugin)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # those of the decoders; a phone's MPO is a JPEG first
MOST_PIXELS = 2**26  # 0.2 GB in colour; the largest cameras for everyone take 100 million, pictures to train on far less

_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, RuntimeError, struct.error)
# what matters is whether the pixels decode: (action, message, category, module, line) as `warnings` keeps its filters
_ODD_METADATA = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


class Oddity(Enum):
    """What is done to a picture that is not plain; in the words that the user reads, once for all pictures."""

    TURNED = "turned upright, as their EXIF data say"
    DEEP = "of more than 8 bits scaled to 8"
    TRANSPARENT = "transparent, put on white"
    CMYK = "in CMYK, converted without a colour profile"
    FRAMES = "of several frames, of which the first is taken"


@dataclass(frozen=True)
class PictureHeader:
    """What is known before the pixels are decoded: (width, height) upright and as stored, and what will be done."""

    size: tuple[int, int]
    stored_size: tuple[int, int]
    oddities: frozenset[Oddity]


def read_image(file: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """The whole picture in colour, upright; BadData with the file's name when it cannot be.

    size  (width, height) that annotations speak of: where only the picture as it is stored has it, it is not turned
    """
    with _opened(file) as image:
        image.load()
        turn = _TURNS.get(_orientation(image))
        colour = _colour(image)
        upright = colour if turn is None else colour.transpose(turn)
        if size is None or upright.size == size:
            return upright
        if colour.size == size:
            return colour
        raise _sizes_differ(file, upright.size, size)


def inspect(file: Path, size: tuple[int, int] | None = None) -> PictureHeader:
    """What the head of the file says; a file that seems to be cut off is decoded. BadData as from `read_image`."""
    with _opened(file) as image:
        oddities = _oddities(image)
        # a TIFF's decoder turns it, and says the size that it will have
        is_sideways = image.format != "TIFF" and Oddity.TURNED in oddities and _orientation(image) in _SIDEWAYS
        stored = image.size
        ends = _ends_whole(file, str(image.format))
    found = PictureHeader(stored[::-1] if is_sideways else stored, stored, oddities)
    if size is not None and size not in (found.size, found.stored_size):
        raise _sizes_differ(file, found.size, size)
    if not ends:
        read_image(file)
    return found


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    if _ODD_METADATA not in warnings.filters:  # once for the process: `catch_warnings` is not for threads
        warnings.filterwarnings("ignore", module=_ODD_METADATA[3].pattern)
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadData(f"picture {file} is {image.width} x {image.height}; at most {MOST_PIXELS:,} pixels are read")
            yield image
    except Image.DecompressionBombError as error:
        raise BadData(f"picture {file} is huge; at most {MOST_PIXELS:,} pixels are read") from error
    except UnidentifiedImageError as error:
        known = f"it is not a picture of a known kind ({', '.join(FORMATS)}), or damaged"
        what = known if file.stat().st_size else "it is empty"
        raise BadData(f"cannot read picture {file}: {what}") from error
    except _UNREADABLE as error:
        raise BadData(f"cannot read picture {file}: {_why(error)}") from error


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else "corrupt"


def _orientation(image: Image.Image) -> int:
    """EXIF's number of the turn; 1, for none, where the data are damaged."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except _UNREADABLE:
        return 1
    return found if isinstance(found, int) else 1


def _oddities(image: Image.Image) -> frozenset[Oddity]:
    found = set()
    # a PNG may have them behind the pixels; to look there is to decode it
    if (image.format != "PNG" or "exif" in image.info) and _orientation(image) in _TURNS:
        found.add(Oddity.TURNED)
    if image.mode == "F" or image.mode.startswith("I"):
        found.add(Oddity.DEEP)
    elif image.has_transparency_data:
        found.add(Oddity.TRANSPARENT)
    if image.mode == "CMYK":
        found.add(Oddity.CMYK)
    if image.format != "MPO" and getattr(image, "is_animated", False):  # a phone's photo brings its preview along
        found.add(Oddity.FRAMES)
    return frozenset(found)


def _colour(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        return _grey(_of_unit_range(np.asarray(image)))
    if image.mode.startswith("I"):
        return _grey(_of_16_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _grey(values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Image.Image:
    return Image.fromarray(values).convert("RGB")


def _of_16_bits(values: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its numbers go beyond 16 bits, so nobody knows what is white; save it with 8 or 16 bits")
    scaled: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return scaled


def _of_unit_range(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError("its floats are not from 0 to 1, so nobody knows what is white; save it with 8 or 16 bits")
    scaled: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = np.rint(values * np.float32(255)).astype(np.uint8)
    return scaled


def _ends_whole(file: Path, kind: str) -> bool:
    """Whether the last bytes are those with which this kind ends; False, too, where the kind has no such end."""
    length = file.stat().st_size
    with file.open("rb") as stream:
        if kind == "WEBP":
            return length == int.from_bytes(stream.read(8)[4:], "little") + 8
        stream.seek(max(0, length - 8))
        tail = stream.read()
    ends = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}
    return kind in ends and tail.endswith(ends[kind])


def _sizes_differ(file: Path, found: tuple[int, int], wanted: tuple[int, int]) -> BadData:
    return BadData(f"picture {file} is {found[0]} x {found[1]}, its annotations are for {wanted[0]} x {wanted[1]}")
