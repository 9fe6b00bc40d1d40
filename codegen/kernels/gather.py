"""GATHER along one axis: blocks of neighbouring elements, for each index before the axis.

A short list, such as the channels of a pixel, is straight code; a longer one is a table of offsets. Where as many elements come
out as go in, each row, such as a pixel, may be copied aside first: the output then may take the input's place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import GatherAttrs, Graph, Op
from .base import KernelCall, elementwise_schedule
from .parameters import KernelParameters, array, code, size

MAX_STRAIGHT = 160  # indices


@dataclass(frozen=True, eq=False)
class Gather(KernelParameters):
    """`count` times `blocks` of `block` neighbouring elements, each from its place in `stride` elements of the source.

    indices  the places where they are part of the code;  offsets  where they are a table
    """

    template: ClassVar[str] = "gather"
    count: int = size()
    stride: int = size()
    blocks: int = size()
    block: int = code()
    indices: tuple[int, ...] = code()
    is_banded: bool = code()
    offsets: npt.NDArray[np.integer] | None = array()

    @property
    def summary(self) -> str:
        if self.indices:
            return f"Gathers {len(self.indices)} elements, again and again."
        return f"Gathers blocks of {self.block} elements, again and again."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a GATHER; indices that follow one another move as one block."""
    assert isinstance(op.attrs, GatherAttrs)
    source, axis, indices = graph.tensor(op.inputs[0]), op.attrs.axis, op.attrs.indices
    count, inner = math.prod(source.shape[:axis]), math.prod(source.shape[axis + 1 :]) * source.dtype.size_bytes
    straight = inner == 1 and len(indices) <= min(MAX_STRAIGHT, 8 * count)
    length = block_length(indices)
    offsets = np.array(indices[::length]) * inner
    stride = source.shape[axis] * inner
    is_banded = build.bands.count > 1 and count > 1 and len(indices) == source.shape[axis]
    return KernelCall(
        Gather(
            count=count,
            stride=stride,
            blocks=len(offsets),
            block=length * inner,
            indices=indices if straight else (),
            is_banded=is_banded,
            offsets=None if straight else offset_array(offsets),
        ),
        (source.name,),
        (op.output,),
        scratch_bytes=stride if is_banded else 0,
        sharing={source.name: elementwise_schedule(count * stride)} if is_banded else {},
        is_banded=is_banded,
        moves_bytes=True,
    )


def offset_array(offsets: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """A layer's constant of offsets, in 16 bits where they fit."""
    return offsets.astype(np.uint16 if offsets.max() < 1 << 16 else np.uint32)


def block_length(indices: tuple[int, ...]) -> int:
    """The largest length into whose blocks the indices divide, each block of neighbours in ascending order."""
    breaks = [place for place in range(1, len(indices)) if indices[place] != indices[place - 1] + 1]
    return math.gcd(len(indices), *breaks)
