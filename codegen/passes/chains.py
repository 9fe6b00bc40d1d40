"""Finding chains of operators whose inner tensors nobody else reads, and fusing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush

from ..contracts import broken_clause
from ..ir import FusedAttrs, FusedPattern, Graph, Op, OpKind

Chain = tuple[Op, ...]


class Readers:
    """Who reads each tensor of a graph; what is needed behind the last operator counts as read from outside."""

    def __init__(self, graph: Graph):
        self._outputs = frozenset(graph.results)
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

    def chains(self, first: Op, kinds: tuple[OpKind, ...]) -> Iterator[Chain]:
        """`first` and the operators that follow it one by one as sole readers, when their kinds are `kinds`."""
        chain = [first]
        for kind in kinds:
            following = self.only(chain[-1].output)
            if following is None or following.kind is not kind:
                return
            chain.append(following)
        yield tuple(chain)


def fuse(graph: Graph, pattern: FusedPattern, find: Callable[[Op, Readers], Iterable[Chain]]) -> Graph:
    """Replace chains by one FUSED operator each, at the place of the chain's last.

    find  the chains that may begin with an operator; the first that keeps the pattern's contract is taken
    Operators already taken by a chain are not offered again. Outputs are the tensors that something outside the chain reads.
    """
    readers = Readers(graph)
    fused_at: dict[str, Op] = {}
    taken: set[str] = set()
    for op in graph.ops:
        if op.output in taken:
            continue
        for chain in find(op, readers):
            fused = _fused_op(pattern, chain, graph, readers)
            if taken.isdisjoint(step.output for step in chain) and broken_clause(fused, graph) is None:
                taken |= {step.output for step in chain}
                fused_at[chain[-1].output] = fused
                break
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
    outputs = tuple(name for name in produced if name in graph.results or any(r.output not in inside for r in readers.all(name)))
    return Op(OpKind.FUSED, inputs, outputs, FusedAttrs(pattern, chain), chain[0].source_index)
