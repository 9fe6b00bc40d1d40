"""The files of an ImageNet-style folder: PATH/class/picture, or PATH/split/class/picture where there is one. No torch here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import BadData

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Files in order, class by class; labels [N] index the class names, and are None for loose pictures.

    Only the files' names are held: a million of them are 0.1 GB.
    """

    root: Path
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def file(self, index: int) -> Path:
        folder = self.root if self.labels is None else self.root / self.class_names[self.labels[index]]
        return folder / self.names[index]

    def evenly(self, limit: int | None) -> Pictures:
        """At most `limit` of them, taken evenly from the whole list."""
        if limit is None or limit >= len(self):
            return self
        chosen = np.linspace(0, len(self) - 1, limit).round().astype(int)
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, names=tuple(self.names[index] for index in chosen), labels=labels)


def list_pictures(path: Path | str, split: str | None = None) -> Pictures:
    """Hidden files and folders are passed over; without class folders the pictures of PATH itself are taken, without labels.

    BadData names what cannot be used.
    """
    root = Path(path)
    if not root.is_dir():
        raise BadData(f"{root} is not a folder; give a folder of pictures, or of one folder of pictures for each class")
    if split is not None and (root / split).is_dir():
        root = root / split
    try:
        classes = sorted(entry.name for entry in _visible(root) if entry.is_dir())
        by_class = [_picture_names(root / name) for name in classes]
        loose = [] if classes else _picture_names(root)
    except OSError as error:
        raise BadData(f"cannot read folder {error.filename or root}: {error.strerror}") from error
    if loose:
        return Pictures(root, tuple(loose), None, ())
    if empty := [name for name, found in zip(classes, by_class, strict=True) if not found]:
        raise BadData(f"class folder {root / empty[0]} holds no picture ({', '.join(IMAGE_SUFFIXES)})")
    if not by_class:
        raise BadData(f"folder {root} holds no picture ({', '.join(IMAGE_SUFFIXES)})")
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(found) for found in by_class])
    return Pictures(root, tuple(name for found in by_class for name in found), labels, tuple(classes))


def _picture_names(folder: Path) -> list[str]:
    return sorted(e.name for e in _visible(folder) if e.name.lower().endswith(IMAGE_SUFFIXES) and e.is_file())


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Without what begins with a point: other systems leave `._name.jpg` beside `name.jpg`."""
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))
