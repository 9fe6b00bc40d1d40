"""A small folder of pictures to train on: bright and dark noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_pictures(folder: Path, each: int = 12, side: int = 24) -> Path:
    """FOLDER/train and FOLDER/val with the classes `bright` and `dark`, `each` and 4 pictures of each."""
    random = np.random.default_rng(1)
    for split, count in (("train", each), ("val", 4)):
        for name, low in (("bright", 120), ("dark", 0)):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(random.integers(low, low + 130, (side, side + 6, 3)).astype(np.uint8)).save(
                    place / f"{index}.png"
                )
    return folder
