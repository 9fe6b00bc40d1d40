"""What is in a picture, and what was found in it. Boxes are x0, y0, x1, y1 in pixels. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Objects:
    """boxes [N, 4];  labels [N] index the class names;  crowd [N]: many objects in one box."""

    boxes: Boxes
    labels: Labels
    crowd: npt.NDArray[np.bool_]

    def single(self) -> Objects:
        """Without the crowds."""
        return Objects(self.boxes[~self.crowd], self.labels[~self.crowd], self.crowd[~self.crowd])


@dataclass(frozen=True, eq=False)
class Detections:
    """boxes [N, 4], scores [N], labels [N]."""

    boxes: Boxes
    scores: npt.NDArray[np.float32]
    labels: Labels
