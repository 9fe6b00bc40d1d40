"""GATHER along one axis: blocks of neighbouring elements from a list of offsets, for each index before the axis."""

from __future__ import annotations

import math

import numpy as np

from ..ir import GatherAttrs, Graph, Op
from .base import ConstArray, KernelCall


def select(op: Op, graph: Graph) -> KernelCall:
    """The kernel call of a GATHER; indices that follow one another move as one block."""
    assert isinstance(op.attrs, GatherAttrs)
    source, axis = graph.tensor(op.inputs[0]), op.attrs.axis
    inner = math.prod(source.shape[axis + 1 :])
    length = block_length(op.attrs.indices)
    offsets = np.array(op.attrs.indices[::length]) * inner
    return KernelCall(
        template="gather",
        shape={
            "count": math.prod(source.shape[:axis]),
            "stride": source.shape[axis] * inner,
            "blocks": len(offsets),
            "block": length * inner,
        },
        inputs=(source.name,),
        outputs=(op.output,),
        arrays=(ConstArray("offsets", offsets.astype(np.uint16 if offsets.max() < 1 << 16 else np.uint32)),),
    )


def block_length(indices: tuple[int, ...]) -> int:
    """The largest length into whose blocks the indices divide, each block of neighbours in ascending order."""
    breaks = [place for place in range(1, len(indices)) if indices[place] != indices[place - 1] + 1]
    return math.gcd(len(indices), *breaks)
