"""MAXIMUM of two tensors of one quantization: four elements at a time."""

from __future__ import annotations

import numpy as np

from ..build import Build
from ..ir import Graph, Op
from .base import ConstArray, KernelCall, untyped_call
from .broadcast import broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES
from .table import table_call


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MAXIMUM; the operands are broadcast as NumPy does."""
    first, second = (graph.tensor(name) for name in op.inputs)
    if first.is_constant and not second.is_constant:
        first, second = second, first
    if second.is_constant and second.num_elements == 1:
        floor = int(second.constant().reshape(-1)[0])
        return table_call(first.name, op.output, first.num_elements, np.maximum(INT8_VALUES, floor).astype(np.int8))
    nest = broadcast_nest(first.shape, second.shape)
    inputs = (first.name,) if second.is_constant else (first.name, second.name)
    return untyped_call(
        template="maximum",
        shape={**nest.as_shape(), "is_constant": second.is_constant},
        inputs=inputs,
        outputs=(op.output,),
        arrays=(ConstArray("operand", second.constant().reshape(-1).astype(np.int8)),) if second.is_constant else (),
        scalars=nest.scalars(),
        sharing=elementwise_sharing(nest, inputs),
    )
