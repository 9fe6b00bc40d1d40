"""scikit-learn's handwritten digits and sample photos, read from its files: to import it takes longer than to use them."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import BadData, MissingExtra
from .picture_file import read_image

PHOTOS = ("china.jpg", "flower.jpg")


@lru_cache(maxsize=1)
def photos_of_sklearn() -> tuple[npt.NDArray[np.uint8], ...]:
    """Each [427, 640, 3]; MissingExtra where scikit-learn is not installed."""
    return tuple(np.asarray(read_image(_file("images", name))) for name in PHOTOS)


@lru_cache(maxsize=1)
def digits_of_sklearn() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(images [1797, 8, 8] of 0 to 16, labels [1797]); MissingExtra where scikit-learn is not installed."""
    table = np.loadtxt(_file("data", "digits.csv.gz"), delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


def _file(folder: str, name: str) -> Path:
    found = importlib.util.find_spec("sklearn")  # finds it without running it
    if found is None or found.origin is None:
        raise MissingExtra(["scikit-learn"], "torch")
    file = Path(found.origin).parent / "datasets" / folder / name
    if not file.is_file():
        raise BadData(f"{file} is not there: this scikit-learn lacks its data sets; install it anew")
    return file
