"""The contract of bypassed operators: what must hold for a graph that reads past them to give the same outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ir import TABLE_KINDS, Graph, Op, OpKind, PoolAttrs, TransposeAttrs, Window
from ..reference import computed
from ..verify_graph import GraphError
from .certificate import BypassedOperator, Certificate, StateInterval
from .channels import REMOVABLE
from .contract import MOVED_FROM, MOVES, Limits, limits


def require_bypass(
    before: Graph, after: Graph, bypassed: Sequence[BypassedOperator], state: tuple[StateInterval, ...] = ()
) -> None:
    """Raise `GraphError` with the first clause that is broken; `state` as in `Certificate`.

    A bypassed tensor has the elements of its source at their places, and every value that they can have unchanged, or is made as
    its source is, of the same tensors; each operator that stays is the same but for reading the source, or is the TRANSPOSE that
    two were.
    """
    known = limits(before, Certificate(state=state))
    writers = {op.output: op for op in before.ops}
    same: dict[str, str] = {}
    for entry in bypassed:
        if not _is_twice(entry.name, entry.source, before, writers, same):
            _require_same(entry.name, entry.source, before, writers, known)
        same[entry.name] = entry.source
    if after.inputs != before.inputs or after.outputs != before.outputs or after.variables != before.variables:
        raise GraphError("a bypass changes inputs, outputs or variables")
    for op in after.ops:
        original = writers[op.output]
        reads = tuple(same.get(name, name) for name in original.inputs)
        if op == replace(original, inputs=reads):
            continue
        if op.kind is not OpKind.TRANSPOSE or not isinstance(original.attrs, TransposeAttrs):
            raise GraphError(f"{op.label} is not the operator that was bypassed around")
        numbers = _numbers(op.inputs[0], before)
        if not np.array_equal(computed(op, after, [numbers]), _moved(op.output, op.inputs[0], before, writers, known)):
            raise GraphError(f"{op.label} does not move what two TRANSPOSEs moved")


def _is_twice(name: str, source: str, graph: Graph, writers: dict[str, Op], same: dict[str, str]) -> bool:
    """Whether two operators do the same with the same, and the tensor of the second is needed by others alone."""
    if name in graph.results or name not in writers or source not in writers:
        return False
    second, first = writers[name], writers[source]
    if second.kind not in REMOVABLE or (second.kind, second.attrs) != (first.kind, first.attrs):
        return False
    for mine, its in zip((*second.inputs, name), (*first.inputs, source), strict=len(second.inputs) == len(first.inputs)):
        tensors = graph.tensor(mine), graph.tensor(its)
        if len({(tensor.shape, tensor.dtype, tensor.quantization) for tensor in tensors}) != 1:
            return False
        equal = tensors[0].is_constant and tensors[1].is_constant and np.array_equal(tensors[0].constant(), tensors[1].constant())
        if mine != name and not equal and same.get(mine, mine) != same.get(its, its):
            return False
    return len(second.inputs) == len(first.inputs)


def _numbers(name: str, graph: Graph) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    tensor = graph.tensor(name)
    return np.arange(MOVED_FROM, MOVED_FROM + tensor.num_elements).reshape(tensor.shape)


def _require_same(name: str, source: str, graph: Graph, writers: dict[str, Op], known: dict[str, Limits]) -> None:
    tensors = graph.tensor(name), graph.tensor(source)
    alike = len({(tensor.shape, tensor.dtype) for tensor in tensors}) == 1 and tensors[0].quantization == tensors[1].quantization
    if (
        name in graph.results
        or not alike
        or not np.array_equal(_moved(name, source, graph, writers, known), _numbers(source, graph))
    ):
        raise GraphError(f"{name} is not the same as {source}")


def _moved(
    name: str, source: str, graph: Graph, writers: dict[str, Op], known: dict[str, Limits]
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Where the numbered elements of `source` come to in `name`, over operators that keep their values."""
    chain: list[Op] = []
    at = name
    while at != source:
        if at not in writers or len(writers[at].inputs) != 1:
            raise GraphError(f"{name} is not made of {source} alone")
        chain.append(writers[at])
        at = writers[at].inputs[0]
    numbers = _numbers(source, graph)
    for op in reversed(chain):
        low, high = (int(limit) for limit in (known[op.inputs[0]][0].min(), known[op.inputs[0]][1].max()))
        values = np.arange(low, high + 1)
        if op.kind in MOVES:
            numbers = computed(op, graph, [numbers]).reshape(graph.tensor(op.output).shape)
        elif op.kind in TABLE_KINDS:
            if not np.array_equal(computed(op, graph, [values]), values):
                raise GraphError(f"{op.label} changes values")
        elif not isinstance(op.attrs, PoolAttrs) or op.attrs.window != Window(1, 1) or _clamps(op.attrs, low, high):
            raise GraphError(f"{op.label} changes values")
    return numbers


def _clamps(attrs: PoolAttrs, low: int, high: int) -> bool:
    return low < attrs.activation_min or attrs.activation_max < high
