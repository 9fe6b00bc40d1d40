"""Fuse MicroNet's Dynamic Shift-Max: no product and no sum of it ever exists as a map (MicroNet paper, section 4)."""

from __future__ import annotations

from ..ir import FusedPattern, GatherAttrs, Graph, Op, OpKind
from .chains import Chain, Readers, fuse, is_channel_scale


def fuse_shift_max(graph: Graph) -> Graph:
    """A GATHER of channels; products of both maps with computed coefficients; their sums, one or two; the larger sum."""

    def scaled(name: str, readers: Readers) -> list[Op]:
        return [op for op in readers.all(name) if is_channel_scale(op, graph) and op.inputs[0] == name]

    def find(op: Op, readers: Readers) -> Chain | None:
        if op.kind is not OpKind.GATHER or not _moves_channels(op, graph) or op.output in graph.outputs:
            return None
        of_shifted, of_own = scaled(op.output, readers), scaled(op.inputs[0], readers)
        if len(of_shifted) not in (1, 2) or len(readers.all(op.output)) != len(of_shifted):
            return None
        chain = [op]
        for shifted in of_shifted:
            add = readers.only(shifted.output)
            own = next((mul for mul in of_own if add is not None and readers.only(mul.output) is add), None)
            if add is None or own is None or add.kind is not OpKind.ADD:
                return None
            chain += [own, shifted, add]
        if len(of_shifted) == 2:
            largest = readers.only(chain[3].output)
            if largest is None or largest.kind is not OpKind.MAXIMUM or readers.only(chain[6].output) is not largest:
                return None
            chain.append(largest)
        return tuple(chain)

    return fuse(graph, FusedPattern.SHIFT_MAX, find)


def _moves_channels(op: Op, graph: Graph) -> bool:
    """Whether each output channel of a map [1, H, W, C] is one of its input's channels."""
    assert isinstance(op.attrs, GatherAttrs)
    shape = graph.tensor(op.inputs[0]).shape
    return len(shape) == 4 and shape[0] == 1 and op.attrs.axis == 3 and len(op.attrs.indices) == shape[3]
