"""Images as the networks take them: scikit-learn's digits, crops of its two photos, folders of pictures. No torch here.

All sources are deterministic by seed and give NCHW float32, normalised as in training: grey to mean 0.5 and deviation 0.25,
colour with ImageNet's means and deviations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import BadData, UsageError
from .picture_file import read_image
from .picture_listing import list_pictures
from .pixels import OURS, Pixels
from .sklearn_files import digits_of_sklearn, photos_of_sklearn

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

DIGITS_COUNT = 1797
DIGITS_HELD_OUT = 450  # the split is fixed, whatever the seed
DIGITS_SPLIT_SEED = 0
PHOTO_COUNT = 64
LONGEST_RATIO = 16  # of a picture that is longer, the ends are cut off before it is scaled
EVAL_ZOOM = 266 / 224  # evaluation resizes the shorter side to this times the resolution, then crops the centre


@dataclass(frozen=True, eq=False)
class ImageSet:
    """images [N, C, H, W], normalised; labels [N] (None where there are none) index `class_names`."""

    images: Floats
    labels: npt.NDArray[np.int64] | None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.float32:
            raise BadData(f"images must be float32 of rank 4, not {self.images.dtype} of rank {self.images.ndim}")
        if not len(self.images):
            raise BadData("a set of images is empty")
        if self.labels is not None and len(self.labels) != len(self.images):
            raise BadData(f"{len(self.images)} images have {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Floats]:
        """One image after the other, [1, C, H, W]: what onnxruntime and the emulated board take."""
        for index in range(len(self.images)):
            yield self.images[index : index + 1]

    @property
    def shape(self) -> tuple[int, ...]:
        """[C, H, W]"""
        return self.images.shape[1:]

    def training_batch(self, chosen: Indices, mine: slice, seed: int, epoch: int) -> Floats:
        """The images of `chosen[mine]`, shifted at random; the same whoever asks for which part of the batch."""
        random = np.random.default_rng((seed, epoch, int(chosen[0])))
        return shift_at_random(self.images[chosen], random)[mine]

    def part(self, begin: int, end: int) -> Floats:
        """[end - begin, C, H, W], for the evaluation"""
        return self.images[begin:end]

    def batches(self, size: int) -> Iterator[Floats]:
        """[up to `size`, C, H, W]"""
        for start in range(0, len(self.images), size):
            yield self.images[start : start + size]

    def first(self, count: int) -> ImageSet:
        return replace(self, images=self.images[:count], labels=None if self.labels is None else self.labels[:count])


def normalise(pixels: npt.NDArray[np.generic], channels: int, how: Pixels | None = None) -> Floats:
    """[N, H, W] grey or [N, H, W, 3] colour, 0 to 255, as normalised [N, channels, H, W]; grey fills three channels.

    how  what a foreign network wants; without it as in training
    """
    how = (how or OURS[channels]).for_channels(channels)
    values = pixels.astype(np.float32) / np.float32(255)
    if values.ndim == 3:
        values = np.repeat(values[..., None], channels, axis=3)
    elif channels == 1:
        values = values @ np.array([[0.299], [0.587], [0.114]], np.float32)
    values -= np.array(how.mean, np.float32)
    values /= np.array(how.std, np.float32)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), np.float32)


def digits(resolution: int, channels: int = 3, how: Pixels | None = None) -> tuple[ImageSet, ImageSet]:
    """scikit-learn's 8x8 handwritten digits, scaled up: (train 1347, held out 450). The split never changes."""
    train, held_out = digits_split()
    return _digits(train, resolution, channels, how), _digits(held_out, resolution, channels, how)


def digits_split() -> tuple[Indices, Indices]:
    """The indices of the training and the held-out digits in scikit-learn's order."""
    order = np.random.default_rng(DIGITS_SPLIT_SEED).permutation(DIGITS_COUNT)
    return order[DIGITS_HELD_OUT:], order[:DIGITS_HELD_OUT]


def _digits(chosen: Indices, resolution: int, channels: int, how: Pixels | None = None) -> ImageSet:
    images, labels = digits_of_sklearn()
    grey = (images[chosen] * (255 / 16)).round().astype(np.uint8)
    scaled = np.stack([_resize(Image.fromarray(image), resolution, resolution) for image in grey])
    return ImageSet(normalise(scaled, channels, how), labels[chosen], tuple("0123456789"))


def photos(resolution: int, channels: int = 3, count: int = PHOTO_COUNT, seed: int = 0) -> ImageSet:
    """Square crops of scikit-learn's two sample photos, of random size, place and direction; no labels.

    A crop is at least a quarter of the photo's shorter side.
    """
    random = np.random.default_rng(seed)
    sources = photos_of_sklearn()
    made = []
    for index in range(count):
        source = sources[index % len(sources)]
        height, width = source.shape[:2]
        side = int(random.integers(min(height, width) // 4, min(height, width) + 1))
        top, left = int(random.integers(0, height - side + 1)), int(random.integers(0, width - side + 1))
        crop = source[top : top + side, left : left + side]
        made.append(_resize(Image.fromarray(crop[:, ::-1] if random.random() < 0.5 else crop), resolution, resolution))
    return ImageSet(normalise(np.stack(made), channels), None)


def folder(path: Path | str, resolution: int, channels: int = 3, split: str | None = None, limit: int | None = None) -> ImageSet:
    """The pictures of a folder (`list_pictures`), resized and cropped in the centre, as in evaluation.

    `limit` takes pictures evenly from the whole list. BadData names what cannot be used.
    """
    pictures = list_pictures(path, split).evenly(limit)
    pixels = np.stack([centre_crop(read_image(pictures.file(index)), resolution) for index in range(len(pictures))])
    return ImageSet(normalise(pixels, channels), pictures.labels, pictures.class_names)


def centre_crop(image: Image.Image, height: int, width: int | None = None) -> Bytes:
    """[height, width, 3]: scaled so that it covers 266/224 of both (a square without `width`), then the centre."""
    width = height if width is None else width
    if max(image.size) > LONGEST_RATIO * min(image.size):  # a strip of one pixel by a million would be scaled to gigabytes
        kept = [min(side, LONGEST_RATIO * min(image.size)) for side in image.size]
        left, top = ((side - part) // 2 for side, part in zip(image.size, kept, strict=True))
        image = image.crop((left, top, left + kept[0], top + kept[1]))
    scale = max(round(width * EVAL_ZOOM) / image.width, round(height * EVAL_ZOOM) / image.height)
    scaled_width, scaled_height = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    pixels = _resize(image, scaled_height, scaled_width)
    top, left = (scaled_height - height) // 2, (scaled_width - width) // 2
    return pixels[top : top + height, left : left + width]


def augmented(images: ImageSet, count: int, seed: int) -> ImageSet:
    """`count` images, shifted at random as in training, each source image equally often: for calibration."""
    random = np.random.default_rng(seed)
    rounds = -(-count // len(images))
    chosen = np.concatenate([random.permutation(len(images)) for _ in range(rounds)])[:count]
    return ImageSet(
        shift_at_random(images.images[chosen], random),
        None if images.labels is None else images.labels[chosen],
        images.class_names,
    )


def shift_at_random(images: Floats, random: np.random.Generator) -> Floats:
    """Each image moved by up to a sixteenth of its side; the uncovered border repeats the edge.

    An eighth cuts into the digits, which fill their frame: 97.3 and 98.2 % (two seeds) instead of 98.7 and 99.1 %.
    """
    count, _, height, width = images.shape
    reach_h, reach_w = max(1, height // 16), max(1, width // 16)
    rows = random.integers(-reach_h, reach_h + 1, count)[:, None] + np.arange(height)
    columns = random.integers(-reach_w, reach_w + 1, count)[:, None] + np.arange(width)
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    taken = images.transpose(0, 2, 3, 1)[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(taken.transpose(0, 3, 1, 2))


def source(name: str, resolution: int, channels: int, count: int = PHOTO_COUNT, seed: int = 0) -> ImageSet:
    """Calibration images by what `--calibration` says: "photos", "digits" (as in training) or a folder."""
    if count < 1:
        raise UsageError(f"the number of images must be at least 1, not {count}")
    if name == "photos":
        return photos(resolution, channels, count, seed)
    if name == "digits":
        return augmented(_digits(digits_split()[0][:count], resolution, channels), count, seed)
    return folder(name, resolution, channels, split="train", limit=count)


def _resize(image: Image.Image, height: int, width: int) -> Bytes:
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
