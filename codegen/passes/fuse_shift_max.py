"""Fuse MicroNet's Dynamic Shift-Max: no product and no sum of it ever exists as a map (MicroNet paper, section 4)."""

from __future__ import annotations

from collections.abc import Iterator

from ..ir import FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse


def fuse_shift_max(graph: Graph) -> Graph:
    """A GATHER of channels; products of both maps with computed coefficients; their sums, one or two; the larger sum."""
    return fuse(graph, FusedPattern.SHIFT_MAX, _find)


def _find(op: Op, readers: Readers) -> Iterator[Chain]:
    if op.kind is not OpKind.GATHER:
        return
    of_own = readers.all(op.inputs[0])
    chain = [op]
    for shifted in readers.all(op.output):
        add = readers.only(shifted.output)
        own = next((mul for mul in of_own if add is not None and mul is not op and readers.only(mul.output) is add), None)
        if add is None or own is None:
            return
        chain += [own, shifted, add]
    largest = readers.only(chain[-1].output)
    if len(chain) == 7 and largest is not None:
        chain.append(largest)
    yield tuple(chain)
