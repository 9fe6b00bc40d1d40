"""Functions of one value: what several operators make of each element of a tensor becomes one table of 256 entries.

Activations behind each other, sums and products with a constant (or with an activation that has one value by its interval), and
operators both of whose operands are functions of the same tensor (x * sigmoid(x)): element for element the result depends on one
int8 value, so the composition over all 256 of them is exact, roundings and clamps included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..contracts import PRODUCERS
from ..ir import TABLE_KINDS, Graph, Op, OpKind, TableAttrs
from ..reference import computed
from .certificate import SimplifiedOperator
from .channels import ELEMENTWISE
from .intervals import Bounds, works_on_int8

Int64 = npt.NDArray[np.int64]

WORTH_ELEMENTS = 256  # an operator of two operands becomes a table (256 bytes) from so many elements on

_EACH = np.arange(-128, 128, dtype=np.int64)
_Function = tuple[str, Int64]  # of each element of a tensor: its values for -128 .. 127


def as_tables(graph: Graph, bounds: Mapping[str, Bounds]) -> tuple[Graph, tuple[SimplifiedOperator, ...]]:
    """The graph in which functions of one value are one operator each, and what became of the operators; the same if none is."""
    return _Functions(graph, bounds).simplified()


class _Functions:
    """Which tensors are functions of one other, first of the farthest, then of the nearest that is needed anyway."""

    def __init__(self, graph: Graph, bounds: Mapping[str, Bounds]):
        self._graph, self._bounds = graph, bounds
        self._farthest: dict[str, _Function] = {}
        self._foldable: set[str] = set()
        needed = set(graph.results)
        for op in graph.ops:
            found = self._composed(op, self._farthest)
            if found is None:
                needed |= set(op.inputs)
                self._farthest |= {name: (name, _EACH) for name in op.outputs}
            else:
                self._farthest[op.output] = found
                self._foldable.add(op.output)
        self._reads = Counter(name for op in graph.ops for name in op.inputs)
        self._needed = needed | {name for name in self._foldable if not self._reads[name]}  # what nobody reads is not ours

    def simplified(self) -> tuple[Graph, tuple[SimplifiedOperator, ...]]:
        nearest: dict[str, _Function] = {}
        ops: list[Op] = []
        what: list[SimplifiedOperator] = []
        for op in self._graph.ops:
            if op.output not in self._foldable:
                ops.append(op)
                continue
            found = self._composed(op, nearest) or self._farthest[op.output]
            if op.output not in self._needed:
                nearest[op.output] = found
                what.append(SimplifiedOperator(op.output, op.kind.value, "it is part of a lookup table"))
                continue
            root, table = found
            if op.inputs == (root,) or (op.kind in ELEMENTWISE and self._is_as_cheap(op, root) and not self._is_idle(op, found)):
                ops.append(op)
                continue
            ops.append(replace(op, kind=OpKind.TABLE, inputs=(root,), attrs=TableAttrs(tuple(table.tolist()))))
            what.append(SimplifiedOperator(op.output, op.kind.value, f"it is a lookup table of {root}"))
        return (self._graph.with_ops(tuple(ops)), tuple(what)) if what else (self._graph, ())

    def _is_as_cheap(self, op: Op, root: str) -> bool:
        """A tensor and one constant: the kernel makes the same table of it, but no kernel fuses it into what makes the tensor."""
        constants = [self._graph.tensor(name) for name in op.inputs if name != root]
        maker = self._graph.producer(root)
        is_fused = maker is not None and maker.kind in PRODUCERS and root not in self._graph.results and self._reads[root] == 1
        return len(constants) == 1 and constants[0].is_constant and constants[0].num_elements == 1 and not is_fused

    def _is_idle(self, op: Op, found: _Function) -> bool:
        """Whether an operator gives what it is given."""
        root, table = found
        low, high = (int(part) for part in (self._bounds[root].low.min(), self._bounds[root].high.max()))
        same = self._graph.tensor(root).quantization == self._graph.tensor(op.output).quantization
        return same and np.array_equal(table[low + 128 : high + 129], _EACH[low + 128 : high + 129])

    def _composed(self, op: Op, known: Mapping[str, _Function]) -> _Function | None:
        """An operator's result as a function of one tensor; a tensor that is not known is a function of itself."""
        if op.kind not in (*TABLE_KINDS, *ELEMENTWISE) or not works_on_int8(op, self._graph) or not self._is_worth_it(op):
            return None
        values = [self._value(name) for name in op.inputs]
        functions = [known.get(name, (name, _EACH)) for name, value in zip(op.inputs, values, strict=True) if value is None]
        if len({root for root, _ in functions}) != 1:
            return None
        shape = self._graph.tensor(op.output).shape
        names = [name for name, value in zip(op.inputs, values, strict=True) if value is None]
        if any(self._graph.tensor(name).shape != shape for name in (*names, functions[0][0])):
            return None
        tables: Iterator[Int64] = (table for _, table in functions)
        operands = [next(tables) if value is None else np.full(1, value) for value in values]
        return functions[0][0], computed(op, self._graph, list(operands)).astype(np.int64)

    def _is_worth_it(self, op: Op) -> bool:
        """Beside a constant of several elements, ADD has a table of its own; one constant's kernel is a table."""
        constants = [self._graph.tensor(name) for name in op.inputs if self._graph.tensor(name).is_constant]
        is_table = op.kind in (OpKind.ADD, OpKind.SUB) and bool(constants)
        is_table |= op.kind in (OpKind.ADD, OpKind.SUB, OpKind.MUL) and any(c.num_elements == 1 for c in constants)
        return op.kind in TABLE_KINDS or is_table or self._graph.tensor(op.output).num_elements >= WORTH_ELEMENTS

    def _value(self, name: str) -> int | None:
        """The one value of all elements of a tensor, None where they have more."""
        tensor = self._graph.tensor(name)
        if tensor.is_constant:
            values = tensor.constant()
            return int(values.flat[0]) if values.size and (values == values.flat[0]).all() else None
        low, high = int(self._bounds[name].low.min()), int(self._bounds[name].high.max())
        return low if low == high else None
