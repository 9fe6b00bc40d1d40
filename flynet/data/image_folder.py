"""A folder of pictures as a stream: decoded when a batch asks for them, never all in memory. No torch here.

What a picture becomes depends on the seed, the epoch and its own index alone, so not on the number of threads or processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import BadData
from .images import Bytes, Floats, Indices, centre_crop, normalise
from .picture_check import Oddities, check_pictures
from .picture_file import inspect, read_image
from .picture_listing import list_pictures

CROP_AREA = (0.08, 1.0)  # share of the picture's area, and the crop's width over its height: "Going Deeper with Convolutions"
CROP_RATIO = (3 / 4, 4 / 3)
CROP_TRIES = 10


class FolderStream:
    """PATH/split/CLASS/picture as training batches [N, C, H, W] (random crop, mirrored by half) and as whole centre crops."""

    def __init__(self, path: Path | str, resolution: int, channels: int, split: str, workers: int = 2):
        self._pictures = list_pictures(path, split)
        if self._pictures.labels is None:
            place = Path(path, split) if Path(path, split).is_dir() else path
            raise BadData(f"{place} has no class folders; training needs one folder of pictures for each class")
        self.labels, self.class_names = self._pictures.labels, self._pictures.class_names
        self.shape = (channels, resolution, resolution)
        self._pool = ThreadPoolExecutor(max(1, workers))

    def __len__(self) -> int:
        return len(self._pictures)

    def check(self, progress: Callable[[int, int], None]) -> Oddities:
        """Look at the heads of the pictures; BadData of one that cannot be read."""
        return check_pictures(lambda index: inspect(self._pictures.file(index)), len(self), self._pool, progress)

    def training_batch(self, chosen: Indices, mine: slice, seed: int, epoch: int) -> Floats:
        """The pictures of `chosen[mine]`, augmented."""

        def one(index: int) -> Bytes:
            return random_crop(read_image(self._pictures.file(index)), self.shape[1], np.random.default_rng((seed, epoch, index)))

        return self._decoded(one, chosen[mine].tolist())

    def part(self, begin: int, end: int) -> Floats:
        """[end - begin, C, H, W], as in evaluation."""
        return self._decoded(lambda index: centre_crop(read_image(self._pictures.file(index)), self.shape[1]), range(begin, end))

    def _decoded(self, one: Callable[[int], Bytes], indices: Sequence[int]) -> Floats:
        return normalise(np.stack(list(self._pool.map(one, indices))), self.shape[0])


def random_crop(image: Image.Image, resolution: int, random: np.random.Generator) -> Bytes:
    """[resolution, resolution, 3]: a crop of random area and shape, scaled, mirrored by half of all times."""
    width, height = image.size
    box = (0, 0, width, height)
    for _ in range(CROP_TRIES):
        area = width * height * random.uniform(*CROP_AREA)
        ratio = np.exp(random.uniform(*np.log(CROP_RATIO)))
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
            box = (left, top, left + w, top + h)
            break
    pixels: npt.NDArray[np.uint8] = np.asarray(image.resize((resolution, resolution), Image.Resampling.BILINEAR, box))
    return pixels[:, ::-1] if random.random() < 0.5 else pixels
