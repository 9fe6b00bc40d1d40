"""Operators that change nothing, and what is computed twice.

Activations that never bite, moves that take everything and TRANSPOSEs that cancel change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..int8_functions import function_table
from ..ir import (
    TABLE_KINDS,
    GatherAttrs,
    Graph,
    Op,
    OpKind,
    PadAttrs,
    PoolAttrs,
    SliceAttrs,
    TransposeAttrs,
    Window,
)
from .bypass_contract import require_bypass
from .certificate import BypassedOperator
from .channels import REMOVABLE
from .intervals import Bounds, graph_bounds, state_intervals, works_on_int8

NEVER_BITES, TAKES_ALL, CANCEL = "it never bites", "it moves nothing", "it undoes the TRANSPOSE before it"
TWICE = "another operator computes the same"


@dataclass(frozen=True, eq=False)
class Bypass:
    """A graph whose operators all change something, and those that went."""

    graph: Graph
    operators: tuple[BypassedOperator, ...]


def bypass(graph: Graph) -> Bypass:
    """The graph whose operators read past those that change nothing, as proven by `require_bypass`.

    Two TRANSPOSEs of which nobody else reads the first become one, or none. An operator stays that makes an output of the graph.
    """
    readers = Counter((op.kind, op.inputs[0]) for op in graph.ops)
    twice = max(readers.values(), default=0) > 1
    if not twice and not any(_may_be_idle(op, graph) or op.kind is OpKind.TRANSPOSE for op in graph.ops):
        return Bypass(graph, ())
    bounds = graph_bounds(graph)
    found = _Bypassing(graph, bounds).found()
    if found.graph is not graph:
        require_bypass(graph, found.graph, found.operators, state_intervals(graph, bounds))
    return found


def _may_be_idle(op: Op, graph: Graph) -> bool:
    """Whether readers of an operator's output could read its input: also by its scale, which moves may change by one step."""
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    same = source.shape == output.shape and source.quantization == output.quantization and works_on_int8(op, graph)
    return not source.is_constant and op.output not in graph.results and same


class _Bypassing:
    """Goes through the operators once, each with the tensors that it then reads."""

    def __init__(self, graph: Graph, bounds: Mapping[str, Bounds]):
        self._graph, self._bounds = graph, bounds
        self._same: dict[str, str] = {}
        self._operators: list[BypassedOperator] = []
        self._made: dict[str, Op] = {}
        self._computed: dict[Hashable, str] = {}
        self._reads = Counter(name for op in graph.ops for name in op.inputs)

    def found(self) -> Bypass:
        ops = []
        for original in self._graph.ops:
            op = replace(original, inputs=tuple(self._same.get(name, name) for name in original.inputs))
            joined = self._joined(op)
            if _may_be_idle(joined, self._graph) and self._is_idle(joined):
                why = CANCEL if joined is not op else NEVER_BITES if op.kind in TABLE_KINDS else TAKES_ALL
                self._same[op.output] = joined.inputs[0]
                self._operators.append(BypassedOperator(op.output, joined.inputs[0], op.kind.value, why))
                continue
            first = self._first_like(op) if joined is op and op.kind in REMOVABLE else op.output
            if first != op.output:
                self._same[op.output] = first
                self._operators.append(BypassedOperator(op.output, first, op.kind.value, TWICE))
            else:
                ops.append(joined)
                self._made[op.output] = joined
        if tuple(ops) == self._graph.ops:
            return Bypass(self._graph, ())
        return Bypass(self._graph.with_ops(_read(ops, self._graph)), tuple(self._operators))

    def _first_like(self, op: Op) -> str:
        """The result of an operator before that computes the same from the same, else this one's, or if that is the graph's."""
        tensors = [self._graph.tensor(name) for name in op.inputs]
        operands = tuple(
            tensor.name if tensor.data is None else (tensor.shape, tensor.quantization, tensor.dtype, tensor.data.tobytes())
            for tensor in tensors
        )
        output = self._graph.tensor(op.output)
        key = (op.kind, op.attrs, operands, output.shape, output.quantization, output.dtype)
        first = self._computed.setdefault(key, op.output)
        return op.output if op.output in self._graph.results else first

    def _joined(self, op: Op) -> Op:
        """A TRANSPOSE of a TRANSPOSE as one."""
        before = self._made.get(op.inputs[0])
        if not isinstance(op.attrs, TransposeAttrs) or before is None or not isinstance(before.attrs, TransposeAttrs):
            return op
        if before.output in self._graph.results or self._reads[before.output] != 1:
            return op
        permutation = tuple(before.attrs.permutation[axis] for axis in op.attrs.permutation)
        return replace(op, inputs=before.inputs, attrs=TransposeAttrs(permutation))

    def _is_idle(self, op: Op) -> bool:
        attrs, bounds = op.attrs, self._bounds[op.inputs[0]]
        low, high = int(bounds.low.min()), int(bounds.high.max())
        if op.kind in TABLE_KINDS:
            table = function_table(op, self._graph)
            return np.array_equal(table[low + 128 : high + 129], np.arange(low, high + 1))
        if isinstance(attrs, PoolAttrs):
            return attrs.window == Window(1, 1) and attrs.activation_min <= low and high <= attrs.activation_max
        return (
            (isinstance(attrs, TransposeAttrs) and attrs.permutation == tuple(range(len(attrs.permutation))))
            or (isinstance(attrs, SliceAttrs) and not any(attrs.begin) and set(attrs.strides) == {1})
            or (isinstance(attrs, GatherAttrs) and attrs.indices == tuple(range(len(attrs.indices))))
            or (isinstance(attrs, PadAttrs) and not any((*attrs.before, *attrs.after)))
            or (op.kind is OpKind.CONCATENATION and len(op.inputs) == 1)
        )


def _read(ops: list[Op], graph: Graph) -> tuple[Op, ...]:
    """Those operators whose results something reads, or that do more than make them."""
    wanted, kept = set(graph.results), []
    for op in reversed(ops):
        if op.kind not in REMOVABLE or not wanted.isdisjoint(op.outputs):
            wanted |= set(op.inputs)
            kept.append(op)
    return tuple(reversed(kept))
