"""What was done to a network's inputs in training, said once: pixels and class names. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BadData
from ..flynet.data.pixels import OURS, Pixels
from ..folders.regular_file import read_regular

_MOST_LABEL_BYTES = 1 << 22


@dataclass(frozen=True)
class Preprocessing:
    """pixels  how pictures are normalised; None: not said
    labels  the classes in the order of the scores; empty: not said
    """

    pixels: Pixels | None = None
    labels: tuple[str, ...] = ()

    def pixels_for(self, channels: int) -> Pixels:
        """A value for each channel: as said, or as our training does it."""
        return (self.pixels or OURS[channels]).for_channels(channels)

    def with_labels_of(self, file: Path | None) -> Preprocessing:
        """With the class names of a text file, if one is given."""
        return self if file is None else replace(self, labels=read_labels(file))


def read_labels(file: Path) -> tuple[str, ...]:
    """One class name a line; BadData names what is wrong."""
    try:
        text = read_regular(file, _MOST_LABEL_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise BadData(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{file} is not text in UTF-8") from error
    names = tuple(line.strip() for line in text.splitlines())
    while names and not names[-1]:
        names = names[:-1]
    if not names:
        raise BadData(f"{file} holds no class names; write one a line")
    for number, name in enumerate(names, start=1):
        if not name:
            raise BadData(f"{file}: line {number} is empty; write one class name a line")
        if name in names[: number - 1]:
            raise BadData(f"{file}: line {number} names {name!r} again")
    return names
