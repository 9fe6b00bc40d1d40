"""GATHERs of channels that need not be: one behind another, and those behind a convolution that nothing else reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .float_graph import FloatGraph, FloatOp, Kind


def fold_gathers(graph: FloatGraph) -> FloatGraph:
    """The graph with one GATHER for two in a row, and none behind a convolution that can write its channels in that order."""
    if not any(op.kind is Kind.GATHER for op in graph.ops):
        return graph
    return _into_convolutions(graph.with_ops(_joined(graph.ops)))


def _joined(ops: Iterable[FloatOp]) -> list[FloatOp]:
    """A GATHER of a GATHER reads what the first one reads."""
    gathers: dict[str, FloatOp] = {}
    result = []
    for op in ops:
        if op.kind is Kind.GATHER:
            first = gathers.get(op.inputs[0])
            if first is not None and first.options["axis"] == op.options["axis"]:
                op = replace(op, inputs=first.inputs, parameters=(first.parameters[0][op.parameters[0]],))
            gathers[op.output] = op
        result.append(op)
    return result


def _into_convolutions(graph: FloatGraph) -> FloatGraph:
    """A GATHER is an order of the filters of the CONV_2D of one group before it, where nothing else reads that."""
    uses = graph.use_counts()
    ops: dict[str, FloatOp] = {}  # by the output as it was
    for op in graph.ops:
        conv = ops.get(op.inputs[0])
        if (
            op.kind is not Kind.GATHER
            or op.options["axis"] != 3
            or conv is None
            or uses[conv.output] > 1
            or not _reads_all_channels(conv, graph)
        ):
            ops[op.output] = op
            continue
        taken = op.parameters[0]
        assert conv.weights is not None
        bias = None if conv.bias is None else conv.bias[taken]
        ops[op.inputs[0]] = replace(conv, output=op.output, weights=conv.weights[taken], bias=bias)
    return graph.with_ops(list(ops.values()))


def _reads_all_channels(op: FloatOp, graph: FloatGraph) -> bool:
    """Whether an operator is a CONV_2D of one group, whose filters may stand in any order."""
    return op.kind is Kind.CONV_2D and op.weights is not None and op.weights.shape[3] == graph.tensors[op.inputs[0]].shape[3]
