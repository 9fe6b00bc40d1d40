"""Inputs of a network with several names, and labels where there are any: for calibration, accuracy and noise. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..errors import BadData
from ..flynet.data.images import ImageSet

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Samples:
    """values  by the network's input [N, ...], float32, as the float network takes them
    labels  [N], index `class_names`; None where there are none
    are_pictures  pixels of bytes, normalised here
    remark  what was done to pictures that are not plain, in one line; else empty
    """

    values: Mapping[str, Floats]
    labels: Labels | None = None
    class_names: tuple[str, ...] = ()
    remark: str = ""
    are_pictures: bool = False

    def __post_init__(self) -> None:
        lengths = {len(values) for values in self.values.values()}
        if len(lengths) != 1:
            raise BadData(f"inputs of different lengths: {', '.join(f'{n} {len(v)}' for n, v in self.values.items()) or 'none'}")
        if lengths == {0}:
            raise BadData("a set of inputs is empty")
        if self.labels is not None and len(self.labels) != len(self):
            raise BadData(f"{len(self)} inputs have {len(self.labels)} labels")

    @staticmethod
    def of_images(images: ImageSet, name: str = "input") -> Samples:
        """The images of a network with one input."""
        return Samples({name: images.images}, images.labels, images.class_names)

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def only(self) -> Floats:
        """The values of the only input."""
        (values,) = self.values.values()
        return values

    def batches(self, size: int) -> Iterator[Mapping[str, Floats]]:
        """[up to `size`, ...] of each input."""
        for start in range(0, len(self), size):
            yield {name: values[start : start + size] for name, values in self.values.items()}

    def first(self, count: int) -> Samples:
        values = {name: values[:count] for name, values in self.values.items()}
        return replace(self, values=values, labels=None if self.labels is None else self.labels[:count])
