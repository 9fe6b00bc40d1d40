"""GATHER along one axis: blocks of neighbouring elements, for each index before the axis.

A short list, such as the channels of a pixel, is straight code; a longer one is a table of offsets. Where as many elements come
out as go in, each stripe, such as a pixel, may be copied aside first: the output then may take the input's place.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import GatherAttrs, Graph, Op
from .base import ConstArray, KernelCall, elementwise_schedule, untyped_call

MAX_STRAIGHT = 160  # indices


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a GATHER; indices that follow one another move as one block."""
    assert isinstance(op.attrs, GatherAttrs)
    source, axis, indices = graph.tensor(op.inputs[0]), op.attrs.axis, op.attrs.indices
    count, inner = math.prod(source.shape[:axis]), math.prod(source.shape[axis + 1 :])
    straight = inner == 1 and len(indices) <= min(MAX_STRAIGHT, 8 * count)
    length = block_length(indices)
    offsets = np.array(indices[::length]) * inner
    stride = source.shape[axis] * inner
    is_striped = build.bands.count > 1 and count > 1 and len(indices) == source.shape[axis]
    table = offset_array("offsets", offsets)
    return untyped_call(
        template="gather",
        shape={
            "count": count,
            "stride": stride,
            "blocks": len(offsets),
            "block": length * inner,
            "indices": indices if straight else (),
            "is_striped": is_striped,
        },
        inputs=(source.name,),
        outputs=(op.output,),
        arrays=() if straight else (table,),
        scratch_bytes=stride if is_striped else 0,
        sharing={source.name: elementwise_schedule(count * stride)} if is_striped else {},
    )


def offset_array(field: str, offsets: npt.NDArray[np.integer]) -> ConstArray:
    """A layer's constant of offsets, in 16 bits where they fit."""
    return ConstArray(field, offsets.astype(np.uint16 if offsets.max() < 1 << 16 else np.uint32))


def block_length(indices: tuple[int, ...]) -> int:
    """The largest length into whose blocks the indices divide, each block of neighbours in ascending order."""
    breaks = [place for place in range(1, len(indices)) if indices[place] != indices[place - 1] + 1]
    return math.gcd(len(indices), *breaks)
