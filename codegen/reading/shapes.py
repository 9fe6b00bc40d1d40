"""Shapes that follow from a RESHAPE whose wanted shape became known.

A converter that does not know the batch writes 1 for each dimension that it cannot compute: Dense on [1, 10, 6] becomes
RESHAPE to [1, 1], which is [10, 6] when it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..activations import ACTIVATIONS
from ..verify_graph import MAX_ELEMENTS
from .file_model import FileOp

Shape = tuple[int, ...]


def true_shape(op: FileOp, has_new_input: bool) -> Shape | None:
    """The shape of an operator's only output, where it follows from the operands; None: what the file declares holds.

    has_new_input  whether an operand has another shape than the file declares
    """
    rule = _RULES.get(op.opcode)
    if rule is None or len(op.outputs) != 1 or not op.inputs or op.inputs[0] is None:
        return None
    if not has_new_input and op.opcode != "RESHAPE":
        return None
    try:
        shape = rule(op)
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    return shape if shape is not None and min(shape, default=1) > 0 and math.prod(shape) <= MAX_ELEMENTS else None


def _reshape(op: FileOp) -> Shape | None:
    wanted, size = op.optional(1), op.input(0).num_elements
    if wanted is None or wanted.data is None or wanted.data.dtype.kind not in "iu" or wanted.data.ndim > 1:
        return None
    dims = [int(d) for d in wanted.data.reshape(-1)]
    if dims.count(-1) == 1:
        known = math.prod(d for d in dims if d != -1)
        dims = [size // known if d == -1 else d for d in dims] if known > 0 else []
    return tuple(dims) if math.prod(dims) == size else None


def _same(op: FileOp) -> Shape:
    return op.input(0).shape


def _broadcast(op: FileOp) -> Shape:
    return np.broadcast_shapes(op.input(0).shape, op.input(1).shape)


def _fully_connected(op: FileOp) -> Shape | None:
    shape, (units, depth) = op.input(0).shape, op.input(1).shape
    if op.options["keep_num_dims"]:
        return (*shape[:-1], units)
    return (math.prod(shape) // depth, units)


def _transpose(op: FileOp) -> Shape | None:
    order = op.optional(1)
    return None if order is None or order.data is None else tuple(op.input(0).shape[int(a)] for a in order.data.reshape(-1))


def _reduce(op: FileOp) -> Shape | None:
    axes, shape = op.optional(1), op.input(0).shape
    if axes is None or axes.data is None:
        return None
    dropped = {int(a) % len(shape) for a in axes.data.reshape(-1)}
    return tuple(1 if i in dropped else d for i, d in enumerate(shape) if op.options["keep_dims"] or i not in dropped)


_RULES: Mapping[str, Callable[[FileOp], Shape | None]] = {
    "RESHAPE": _reshape,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE": _transpose,
    "MEAN": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"), _broadcast),
    **dict.fromkeys((*ACTIVATIONS, "SOFTMAX", "DEQUANTIZE"), _same),
}
