"""Kernels: for every operator the C function that computes it. `select_kernel` is the table of contents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..contracts import broken_clause
from ..ir import ACTIVATION_KINDS, FusedAttrs, FusedPattern, Graph, Op, OpKind
from ..verify_graph import GraphError
from . import (
    add,
    concatenation,
    conv_2d,
    depthwise_conv_2d,
    depthwise_pair,
    fully_connected,
    gather,
    maximum,
    mdw_max,
    mean,
    mean_variance,
    mul,
    mul_add,
    mul_depthwise,
    mul_max,
    pad,
    pool,
    reduce_max,
    reshape,
    shift_max,
    slice,
    softmax,
    squared_difference,
    table,
)
from .base import KernelCall
from .effort import BALANCED, Effort

Select = Callable[[Op, Graph], KernelCall]
SelectByEffort = Callable[[Op, Graph, Effort], KernelCall]

_BY_EFFORT: Mapping[OpKind, SelectByEffort] = {
    OpKind.CONV_2D: conv_2d.select,
    OpKind.DEPTHWISE_CONV_2D: depthwise_conv_2d.select,
    OpKind.FULLY_CONNECTED: fully_connected.select,
    OpKind.GATHER: gather.select,
}

_KERNELS: Mapping[OpKind, Select] = {
    OpKind.ADD: add.select,
    OpKind.SUB: add.select,
    OpKind.MUL: mul.select,
    OpKind.MAXIMUM: maximum.select,
    OpKind.SQUARED_DIFFERENCE: squared_difference.select,
    OpKind.MEAN: mean.select,
    OpKind.REDUCE_MAX: reduce_max.select,
    OpKind.AVERAGE_POOL_2D: pool.select,
    OpKind.MAX_POOL_2D: pool.select,
    OpKind.SOFTMAX: softmax.select,
    OpKind.CONCATENATION: concatenation.select,
    OpKind.SLICE: slice.select,
    OpKind.STRIDED_SLICE: slice.select,
    OpKind.TRANSPOSE: slice.select_transpose,
    OpKind.PAD: pad.select,
    OpKind.RESHAPE: reshape.select,
    **dict.fromkeys(ACTIVATION_KINDS, table.select),
}

_FUSED_BY_EFFORT: Mapping[FusedPattern, SelectByEffort] = {
    FusedPattern.MDW_MAX: mdw_max.select,
    FusedPattern.MUL_DEPTHWISE: mul_depthwise.select,
    FusedPattern.DEPTHWISE_PAIR: depthwise_pair.select,
    FusedPattern.MUL_MAX: mul_max.select,
}

_FUSED: Mapping[FusedPattern, Select] = {
    FusedPattern.MEAN_VARIANCE: mean_variance.select,
    FusedPattern.MUL_ADD: mul_add.select,
    FusedPattern.SHIFT_MAX: shift_max.select,
}


def select_kernel(op: Op, graph: Graph, effort: Effort = BALANCED) -> KernelCall:
    """The kernel call that computes an operator; a table fused into its producer is the producer's kernel's work.

    effort  what flash may be spent for speed, and speed for memory
    Raises GraphError for a fused operator that breaks its pattern's contract: its kernel would compute something else.
    """
    kind = op.kind
    if isinstance(op.attrs, FusedAttrs):
        broken = broken_clause(op, graph)
        if broken is not None:
            raise GraphError(f"{op.kind_name} is no {op.attrs.pattern.value}: {broken}")
        if op.attrs.pattern in _FUSED_BY_EFFORT:
            return _FUSED_BY_EFFORT[op.attrs.pattern](op, graph, effort)
        if op.attrs.pattern is not FusedPattern.PRODUCER_TABLE:
            return _FUSED[op.attrs.pattern](op, graph)
        kind = op.attrs.body[0].kind
    return _BY_EFFORT[kind](op, graph, effort) if kind in _BY_EFFORT else _KERNELS[kind](op, graph)
