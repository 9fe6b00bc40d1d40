"""The contract of simplified operators: what must hold for a graph with tables and without clamps to give the same tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..ir import TABLE_KINDS, ClampAttrs, ConvAttrs, Graph, Op, OpKind, PoolAttrs, TableAttrs
from ..reference import computed
from ..verify_graph import GraphError
from .certificate import Certificate, StateInterval
from .contract import ELEMENTWISE, Limits, limits, limits_of


def require_simplified(before: Graph, after: Graph, state: tuple[StateInterval, ...] = ()) -> None:
    """Raise `GraphError` with the first operator that may give another tensor than before; `state` as in `Certificate`.

    Each is as it was, or lacks a clamp outside of which it gives nothing, or is a table of what the operators from its input to
    its output make of every value that its input can have.
    """
    known = limits(before, Certificate(state=state))
    if (after.inputs, after.outputs, after.variables) != (before.inputs, before.outputs, before.variables):
        raise GraphError("a simplification changes inputs, outputs or variables")
    originals = {op.output: op for op in before.ops}
    for op in after.ops:
        original = originals.get(op.output)
        if original is None or any(after.tensor(name) is not before.tensor(name) for name in (*op.inputs, *op.outputs)):
            raise GraphError(f"{op.label} is not of the graph that was read")
        if op != original and not _is_table_of(op, before, known) and not _never_leaves_clamp(op, original, before, known):
            raise GraphError(f"{op.label} may give another tensor than {original.label}")


def _never_leaves_clamp(op: Op, original: Op, graph: Graph, known: Mapping[str, Limits]) -> bool:
    clamp = original.attrs
    if not isinstance(clamp, ConvAttrs | ClampAttrs | PoolAttrs) or not isinstance(op.attrs, type(clamp)):
        return False
    least, most = clamp.activation_min, clamp.activation_max
    if replace(op, attrs=replace(op.attrs, activation_min=least, activation_max=most)) != original:
        return False
    low, high = limits_of(replace(op, attrs=replace(op.attrs, activation_min=-128, activation_max=127)), graph, known)
    found = (max(op.attrs.activation_min, int(low.min())), min(op.attrs.activation_max, int(high.max())))
    return bool(least <= found[0] and found[1] <= most and op.attrs.activation_min <= least and most <= op.attrs.activation_max)


def _is_table_of(op: Op, graph: Graph, known: Mapping[str, Limits]) -> bool:
    """Every value that the input can have goes through the operators between, as a row of its own."""
    if op.kind is not OpKind.TABLE or not isinstance(op.attrs, TableAttrs) or len(op.inputs) != 1:
        return False
    root, shape = op.inputs[0], graph.tensor(op.output).shape
    if root not in known or graph.tensor(root).shape != shape:
        return False
    low, high = (int(limit) for limit in (known[root][0].min(), known[root][1].max()))
    values: dict[str, npt.NDArray[np.int64]] = {root: np.arange(low, high + 1)}
    for step in _between(root, op.output, graph, known):
        operands = []
        for name in step.inputs:
            value = _only_value(name, graph, known)
            if value is None and (name not in values or graph.tensor(name).shape != shape):
                return False
            operands.append(values[name] if value is None else np.full(1, value))
        if step.kind not in (*TABLE_KINDS, *ELEMENTWISE) or graph.tensor(step.output).shape != shape:
            return False
        values[step.output] = np.broadcast_to(computed(step, graph, list(operands)), values[root].shape)
    entries = np.array(op.attrs.entries)
    return op.output in values and len(entries) == 256 and np.array_equal(entries[low + 128 : high + 129], values[op.output])


def _only_value(name: str, graph: Graph, known: Mapping[str, Limits]) -> int | None:
    """That of all elements of a tensor, None where they may have others."""
    tensor = graph.tensor(name)
    found = np.unique(
        np.concatenate([part.reshape(-1) for part in ((tensor.constant(),) if tensor.is_constant else known[name])])
    )
    return int(found[0]) if len(found) == 1 else None


def _between(root: str, name: str, graph: Graph, known: Mapping[str, Limits]) -> list[Op]:
    """The operators that make one tensor of another, in order; without those of tensors that have one value."""
    wanted, steps = {name}, []
    for op in reversed(graph.ops):
        if op.output in wanted and op.output != root:
            wanted |= {source for source in op.inputs if _only_value(source, graph, known) is None}
            steps.append(op)
    return steps[::-1]
