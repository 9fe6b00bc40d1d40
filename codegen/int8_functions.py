"""Operators of one int8 value as tables of 256 entries."""

from __future__ import annotations

import numpy as np

from .activations import activation_table
from .fixed_point import Int8
from .ir import Graph, Op, TableAttrs


def function_table(op: Op, graph: Graph) -> Int8:
    """int8[256]: what an activation or a TABLE gives; entry `x + 128` belongs to the stored value x."""
    if isinstance(op.attrs, TableAttrs):
        return np.array(op.attrs.entries, np.int8)
    return activation_table(op.kind, graph.tensor(op.inputs[0]), graph.tensor(op.output), op.parameters)
