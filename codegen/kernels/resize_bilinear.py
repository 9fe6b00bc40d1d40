"""RESIZE_BILINEAR: four neighbours by 1024ths of their distances, rounded once; places and shares are constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import bilinear_places
from ..ir import Graph, Op, ResizeAttrs
from .base import KernelCall
from .gather import offset_array
from .parameters import KernelParameters, array, size


@dataclass(frozen=True, eq=False)
class ResizeBilinear(KernelParameters):
    """above, below  for each row of the output where its two rows of the input begin;  down  1024ths of the lower one

    left, right, across  the same of columns
    """

    template: ClassVar[str] = "resize_bilinear"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}
    height: int = size()
    width: int = size()
    channels: int = size(inner=True)
    above: npt.NDArray[np.integer] = array()
    below: npt.NDArray[np.integer] = array()
    down: npt.NDArray[np.int16] = array()
    left: npt.NDArray[np.integer] = array()
    right: npt.NDArray[np.integer] = array()
    across: npt.NDArray[np.int16] = array()

    @property
    def summary(self) -> str:
        return "Each element from four neighbours, by their distances."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a RESIZE_BILINEAR."""
    assert isinstance(op.attrs, ResizeAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    corners = op.attrs.align_corners, op.attrs.half_pixel_centers
    above, below, down = bilinear_places(source.shape[1], output.shape[1], *corners)
    left, right, across = bilinear_places(source.shape[2], output.shape[2], *corners)
    row, channels = source.shape[2] * source.shape[3], source.shape[3]
    parameters = ResizeBilinear(
        output.shape[1],
        output.shape[2],
        channels,
        offset_array(above * row),
        offset_array(below * row),
        down.astype(np.int16),
        offset_array(left * channels),
        offset_array(right * channels),
        across.astype(np.int16),
    )
    return KernelCall(parameters, (source.name,), (op.output,))
