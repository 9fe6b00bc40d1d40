"""Pictures, `.npz` and `.npy` as the inputs of a network. No torch here.

Arrays of floats are taken as they are: as the float network takes them. uint8 arrays of pictures are normalised as pictures are.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..errors import BadData
from ..flynet.data.images import centre_crop, normalise
from ..flynet.data.picture_check import describe
from ..flynet.data.picture_file import Oddity, inspect, read_image
from ..flynet.data.picture_listing import list_pictures
from ..folders.regular_file import read_regular
from ..quoting import ForeignText, shorten, visible
from .preprocessing import Preprocessing
from .samples import Floats, Labels, Samples

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]  # of a network's inputs, with a batch of 1
Array = npt.NDArray[Any]

LABELS = "labels"  # the array of a .npz that has them
MOST_PICTURES = 512  # of a folder, taken evenly
_MOST_BYTES = 1 << 32

_BROKEN = (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, MemoryError)


def read_samples(
    place: Path, shapes: Shapes, how: Preprocessing, split: str = "train", most_pictures: int = MOST_PICTURES
) -> Samples:
    """The inputs that lie in a folder of pictures, a `.npz` (an array by the name of each input, and `labels`) or a `.npy`.

    split  the subfolder of a folder of pictures that is taken where there is one
    Raises BadData with the file's name.
    """
    if place.suffix.lower() == ".npz":
        return _of_npz(place, shapes, how)
    if place.suffix.lower() == ".npy":
        (name, shape), *others = shapes.items()
        if others:
            raise BadData(f"{place} holds one array, the network has {len(shapes)} inputs; give a .npz with {_names(shapes)}")
        array = _npy(place)
        return Samples({name: _values(array, shape, how, f"{place}")}, are_pictures=_are_bytes(array, shape))
    if not place.exists():
        raise BadData(f"{place} does not exist; give a folder of pictures, a .npz or a .npy")
    if not place.is_dir():
        raise BadData(f"{place} is no folder of pictures, .npz or .npy")
    return _of_pictures(place, shapes, how, split, most_pictures)


def of_arrays(given: Mapping[str, Array], shapes: Shapes, how: Preprocessing, labels: Array | None = None) -> Samples:
    """The same of arrays in memory, by the names of the inputs."""
    if set(given) != set(shapes):
        raise BadData(f"arrays {_names(given)} are given; the network's inputs are {_names(shapes)}")
    values = {name: _values(np.asarray(given[name]), shape, how, f"array {name!r}") for name, shape in shapes.items()}
    are_pictures = any(_are_bytes(np.asarray(given[name]), shape) for name, shape in shapes.items())
    found = None if labels is None else _labels(np.asarray(labels), "labels")
    return Samples(values, found, how.labels, are_pictures=are_pictures)


def with_class_names(samples: Samples, classes: int, how: Preprocessing, place: str) -> Samples:
    """The same with labels that index the network's scores: those of folders by the class names, if those are given.

    Raises BadData where there are labels of other classes.
    """
    if samples.labels is None:
        raise BadData(f"{place} has no labels; give DIR/CLASS/picture, or a .npz with the array {LABELS!r}")
    labels, names = samples.labels, samples.class_names
    if how.labels and names and set(names) <= set(how.labels):
        index = np.array([how.labels.index(name) for name in names], np.int64)
        labels, names = index[labels], how.labels
    if names and len(names) != classes:
        raise BadData(f"{place} has {len(names)} classes, the network {classes} scores; they must be the same ones")
    if labels.min() < 0 or labels.max() >= classes:
        raise BadData(f"{place} has labels {labels.min()} to {labels.max()}; the network has {classes} scores, from 0")
    return replace(samples, labels=labels, class_names=how.labels or names)


def picture_shape(shape: Sequence[int]) -> tuple[int, int, int, bool] | None:
    """(height, width, channels, whether channels come last) of an input of pictures; None for any other input."""
    if len(shape) != 4:
        return None
    if shape[1] in (1, 3):
        return shape[2], shape[3], shape[1], False
    return (shape[1], shape[2], shape[3], True) if shape[3] in (1, 3) else None


def _of_pictures(place: Path, shapes: Shapes, how: Preprocessing, split: str, most: int) -> Samples:
    found = [(name, picture) for name, shape in shapes.items() if (picture := picture_shape(shape)) is not None]
    if len(shapes) != 1 or not found:
        inputs = ", ".join(f"{_shown(name)} {list(shape)}" for name, shape in shapes.items())
        raise BadData(f"{place} holds pictures, the network takes {inputs}; give a .npz with {_names(shapes)}")
    ((name, (height, width, channels, is_last)),) = found
    pictures = list_pictures(place, split).evenly(most)
    files = [pictures.file(index) for index in range(len(pictures))]
    oddities: Counter[Oddity] = Counter(oddity for file in files for oddity in inspect(file).oddities)
    pixels = np.stack([centre_crop(read_image(file), height, width) for file in files])
    values = normalise(pixels, channels, how.pixels_for(channels))
    remark = describe([oddities])
    return Samples(
        {name: np.ascontiguousarray(values.transpose(0, 2, 3, 1)) if is_last else values},
        pictures.labels,
        pictures.class_names,
        f"pictures: {remark}" if remark else "",
        are_pictures=True,
    )


def _of_npz(place: Path, shapes: Shapes, how: Preprocessing) -> Samples:
    arrays = _npz(place)
    labels = arrays.pop(LABELS) if LABELS in arrays and LABELS not in shapes else None
    if len(shapes) == 1 and len(arrays) == 1:
        arrays = dict(zip(shapes, arrays.values(), strict=True))
    missing = [name for name in shapes if name not in arrays]
    if missing:
        raise BadData(f"{place} holds {_names(arrays)}; the network's inputs are {_names(shapes)}")
    values = {name: _values(arrays[name], shape, how, f"{place}: {_shown(name)}") for name, shape in shapes.items()}
    are_pictures = any(_are_bytes(arrays[name], shape) for name, shape in shapes.items())
    found = None if labels is None else _labels(labels, f"{place}: {LABELS}")
    return Samples(values, found, how.labels, are_pictures=are_pictures)


def _values(array: Array, shape: Shape, how: Preprocessing, place: str) -> Floats:
    """[N, ...] float32 of an array as it was saved."""
    if array.dtype.kind not in "fiub":
        raise BadData(f"{place} is {array.dtype}; give numbers")
    picture = picture_shape(shape)
    if picture is not None and _are_bytes(array, shape):
        array = _normalised(array, picture, how, place)
    if array.ndim != len(shape) or array.shape[1:] != shape[1:]:
        wanted = ", ".join(["N", *map(str, shape[1:])])
        turned = picture is not None and array.ndim == 4 and sorted(array.shape[1:]) == sorted(shape[1:])
        hint = "; turn its axes with np.transpose" if turned else ""
        raise BadData(f"{place} is {list(array.shape)}, the network takes [{wanted}]{hint}")
    if not len(array):
        raise BadData(f"{place} is empty")
    values = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(values).all():
        raise BadData(f"{place} holds NaN or infinity")
    return values


def _are_bytes(array: Array, shape: Shape) -> bool:
    """Whether an array holds pictures as files have them."""
    return array.dtype == np.uint8 and picture_shape(shape) is not None


def _normalised(array: Array, picture: tuple[int, int, int, bool], how: Preprocessing, place: str) -> Array:
    """uint8 pictures [N, H, W, C], [N, C, H, W] or [N, H, W] as the network takes pictures."""
    height, width, channels, is_last = picture
    if array.shape[1:] == (height, width, channels):
        pixels = array
    elif array.shape[1:] == (channels, height, width):
        pixels = array.transpose(0, 2, 3, 1)
    elif array.shape[1:] == (height, width):
        pixels = array[..., None]
    else:
        raise BadData(f"{place} is {list(array.shape)}, the network takes pictures of {height} x {width} x {channels}")
    grey = pixels[..., 0] if pixels.shape[3] == 1 else pixels
    values = normalise(grey, channels, how.pixels_for(channels))
    return values.transpose(0, 2, 3, 1) if is_last else values


def _labels(array: Array, place: str) -> Labels:
    if array.dtype.kind not in "iu" or array.ndim > 2 or (array.ndim == 2 and array.shape[1] != 1):
        raise BadData(f"{place} is {array.dtype}{list(array.shape)}; give one whole number for each input")
    return np.ascontiguousarray(array.reshape(-1), np.int64)


def _npz(place: Path) -> dict[str, Array]:
    content = _content(place)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
            if not members:
                raise BadData(f"{place} holds no arrays")
            return {name.removesuffix(".npy"): _array(archive.open(name), place) for name in members}
    except _BROKEN as error:
        raise BadData(f"{place} is not a .npz of plain arrays: {_why(error)}") from error


def _npy(place: Path) -> Array:
    try:
        return _array(io.BytesIO(_content(place)), place)
    except _BROKEN as error:
        raise BadData(f"{place} is not a .npy of a plain array: {_why(error)}") from error


def _array(stream: IO[bytes], place: Path) -> Array:
    """The array of a `.npy`; its header is looked at before numpy believes in its size."""
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise BadData(f"{place} holds Python objects, which are never loaded; save numbers")
    size = math.prod(shape) * dtype.itemsize
    if size > _MOST_BYTES or dtype.itemsize == 0:
        raise BadData(f"{place} says that it holds {size:,} bytes; at most {_MOST_BYTES:,} are read")
    content = stream.read(size)
    array = np.frombuffer(content, dtype, math.prod(shape))
    return array.reshape(shape, order="F" if is_fortran else "C")


def _content(place: Path) -> bytes:
    try:
        return read_regular(place, _MOST_BYTES)
    except OSError as error:
        raise BadData(f"cannot read {place}: {error.strerror}") from error


def _why(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return shorten(visible(text[0]), 200) if text else type(error).__name__


def _names(names: Mapping[str, object]) -> str:
    return ", ".join(_shown(name) for name in names) or "nothing"


def _shown(name: str) -> str:
    return str(ForeignText(name))
