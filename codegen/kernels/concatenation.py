"""CONCATENATION: the inputs' blocks one after the other, for each index before the axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import ConcatAttrs, Graph, Op
from .base import KernelCall, SamePlace
from .parameters import KernelParameters, array, code, size


@dataclass(frozen=True, eq=False)
class Concatenation(KernelParameters):
    """`count` times a block of each source: an input by its number, constants (-1) from `starts`, or what is there (-2)."""

    template: ClassVar[str] = "concatenation"
    count: int = size()
    blocks: tuple[int, ...] = size(inner=True)
    sources: tuple[int, ...] = code()
    starts: tuple[int, ...] = size()
    constants: npt.NDArray[np.int8] | None = array()

    @property
    def summary(self) -> str:
        return f"Concatenation of blocks of {len(self.sources)} sources, again and again."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a CONCATENATION; constant inputs come from flash."""
    assert isinstance(op.attrs, ConcatAttrs)
    axis = op.attrs.axis
    tensors = [graph.tensor(name) for name in op.inputs]
    activations = tuple(dict.fromkeys(t.name for t in tensors if not t.is_constant))
    constants = [t for t in tensors if t.is_constant]
    first_of_constant = np.cumsum([0, *(t.size_bytes for t in constants)])
    sources, starts = [], []
    for tensor in tensors:
        if tensor.is_constant:
            sources.append(-1)
            starts.append(int(first_of_constant[constants.index(tensor)]))
        else:
            sources.append(activations.index(tensor.name))
            starts.append(0)
    count = math.prod(tensors[0].shape[:axis])
    joined = [t.constant().reshape(-1).astype(t.dtype.value).view(np.int8) for t in constants]
    first_stays = count == 1 and not tensors[0].is_constant and op.inputs.count(op.inputs[0]) == 1
    blocks = tuple(math.prod(t.shape[axis:]) * t.dtype.size_bytes for t in tensors)
    if op.attrs.first_stays:
        assert first_stays, f"{op.label}: the first of {count} blocks cannot stay"
        sources[0] = -2
    return KernelCall(
        Concatenation(count, blocks, tuple(sources), tuple(starts), np.concatenate(joined) if joined else None),
        activations,
        (op.output,),
        sharing={op.inputs[0]: SamePlace()} if first_stays else {},
        stays=op.inputs[0] if op.attrs.first_stays else None,
        moves_bytes=True,
    )
