"""Finding chains of operators whose inner tensors nobody else reads, and fusing them."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from ..ir import FusedAttrs, FusedPattern, Graph, Op, OpKind

Chain = tuple[Op, ...]


class Readers:
    """Who reads each tensor of a graph; graph outputs count as read from outside."""

    def __init__(self, graph: Graph):
        self._outputs = frozenset(graph.outputs)
        self._readers: dict[str, list[Op]] = {}
        for op in graph.ops:
            for name in set(op.inputs):
                self._readers.setdefault(name, []).append(op)

    def only(self, name: str) -> Op | None:
        """The one operator that reads a tensor, or None when there are others or it is a graph output."""
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self._outputs else None

    def all(self, name: str) -> list[Op]:
        return self._readers.get(name, [])

    def chain(self, first: Op, kinds: tuple[OpKind, ...]) -> Chain | None:
        """`first` and the operators that follow it one by one as sole readers, when their kinds are `kinds`."""
        chain = [first]
        for kind in kinds:
            following = self.only(chain[-1].output)
            if following is None or following.kind is not kind:
                return None
            chain.append(following)
        return tuple(chain)


def fuse(graph: Graph, pattern: FusedPattern, find: Callable[[Op, Readers], Chain | None]) -> Graph:
    """Replace each chain that `find` returns for its first operator by one FUSED operator at the place of the chain's last.

    Operators already taken by a chain are not offered again. Outputs are the tensors that something outside the chain reads.
    """
    readers = Readers(graph)
    fused_at: dict[str, Op] = {}
    taken: set[str] = set()
    for op in graph.ops:
        if op.output in taken:
            continue
        chain = find(op, readers)
        if chain is not None and not taken.intersection(step.output for step in chain):
            taken |= {step.output for step in chain}
            fused_at[chain[-1].output] = _fused_op(pattern, chain, graph, readers)
    ops = [fused_at.get(op.output, op) for op in graph.ops if op.output not in taken or op.output in fused_at]
    return graph.with_ops(tuple(_in_dependency_order(ops, graph)))


def _in_dependency_order(ops: list[Op], graph: Graph) -> list[Op]:
    """The operators in their given order, but each as late as its inputs need (a chain's first output may be read early)."""
    written_by = {name: place for place, op in enumerate(ops) for name in op.outputs}
    needs = [{written_by[name] for name in op.inputs if name in written_by} for op in ops]
    readers: list[list[int]] = [[] for _ in ops]
    for place, needed in enumerate(needs):
        for writer in needed:
            readers[writer].append(place)
    ready = [place for place, needed in enumerate(needs) if not needed]  # ascending, so it is a heap
    missing = [len(needed) for needed in needs]
    ordered: list[Op] = []
    while ready:
        place = heappop(ready)
        ordered.append(ops[place])
        for reader in readers[place]:
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, reader)
    assert len(ordered) == len(ops), f"the fused graph {graph.name} has a cycle"
    return ordered


def _fused_op(pattern: FusedPattern, chain: Chain, graph: Graph, readers: Readers) -> Op:
    produced = [name for step in chain for name in step.outputs]
    inside = {step.output for step in chain}
    read = dict.fromkeys(name for step in chain for name in step.inputs)
    inputs = tuple(name for name in read if name not in produced)
    outputs = tuple(name for name in produced if name in graph.outputs or any(r.output not in inside for r in readers.all(name)))
    return Op(OpKind.FUSED, inputs, outputs, FusedAttrs(pattern, chain), chain[0].source_index)


def is_channel_scale(op: Op, graph: Graph) -> bool:
    """Whether an operator is a MUL of maps [1, H, W, C] by one computed coefficient for each channel, [1, 1, 1, C]."""
    if op.kind is not OpKind.MUL:
        return False
    maps, coefficients = (graph.tensor(name) for name in op.inputs)
    vector = len(maps.shape) == 4 and coefficients.shape == (1, 1, 1, maps.shape[3])
    return vector and not coefficients.is_constant and not maps.is_constant
