"""Kernels: for every operator the C function that computes it. `select` is the table of contents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..build import ARMV6M, DSP, PLAIN, Build, Isa
from ..contracts import broken_clause
from ..ir import TABLE_KINDS, FusedAttrs, FusedPattern, Graph, Op, OpKind, works_on_int16
from ..verify_graph import GraphError
from . import (
    add,
    batch_matmul,
    concatenation,
    conv_2d,
    depthwise_conv_2d,
    depthwise_pair,
    fully_connected,
    gather,
    int16x8,
    l2_normalization,
    lstm,
    maximum,
    mdw_max,
    mean,
    mean_variance,
    mul,
    mul_add,
    mul_depthwise,
    mul_max,
    pad,
    plain,
    pool,
    prelu,
    reduce_max,
    reshape,
    resize_bilinear,
    shift_max,
    slice,
    softmax,
    squared_difference,
    svdf,
    table,
)
from .base import KernelCall

Select = Callable[[Op, Graph, Build], KernelCall]

_PLAIN: Mapping[OpKind | FusedPattern, Select] = {
    OpKind.CONV_2D: plain.conv_2d.select,
    OpKind.DEPTHWISE_CONV_2D: plain.depthwise.select,
    OpKind.FULLY_CONNECTED: plain.fully_connected.select,
    OpKind.GATHER: gather.select,
    OpKind.ADD: plain.elementwise.select_add,
    OpKind.SUB: plain.elementwise.select_add,
    OpKind.MUL: plain.elementwise.select_mul,
    OpKind.MAXIMUM: maximum.select,
    OpKind.MINIMUM: maximum.select,
    OpKind.PRELU: prelu.select,
    OpKind.DIV: table.select_division,
    OpKind.BATCH_MATMUL: batch_matmul.select,
    OpKind.L2_NORMALIZATION: l2_normalization.select,
    OpKind.RESIZE_BILINEAR: resize_bilinear.select,
    OpKind.SQUARED_DIFFERENCE: squared_difference.select,
    OpKind.MEAN: mean.select,
    OpKind.REDUCE_MAX: reduce_max.select,
    OpKind.REDUCE_MIN: reduce_max.select,
    OpKind.AVERAGE_POOL_2D: pool.select,
    OpKind.MAX_POOL_2D: pool.select,
    OpKind.SOFTMAX: softmax.select,
    OpKind.CONCATENATION: concatenation.select,
    OpKind.SLICE: slice.select,
    OpKind.STRIDED_SLICE: slice.select,
    OpKind.TRANSPOSE: slice.select_transpose,
    OpKind.PAD: pad.select,
    OpKind.RESHAPE: reshape.select,
    OpKind.READ_VARIABLE: reshape.select,
    OpKind.UNIDIRECTIONAL_SEQUENCE_LSTM: lstm.select,
    OpKind.SVDF: svdf.select,
    OpKind.ASSIGN_VARIABLE: reshape.select,
    **dict.fromkeys(TABLE_KINDS, table.select),
    FusedPattern.MDW_MAX: plain.depthwise.select_max,
    FusedPattern.MUL_DEPTHWISE: plain.depthwise.select_scaled,
    FusedPattern.DEPTHWISE_PAIR: plain.depthwise.select_pair,
    FusedPattern.MUL_MAX: plain.elementwise.select_mul_max,
    FusedPattern.MEAN_VARIANCE: plain.mean_variance.select,
    FusedPattern.MUL_ADD: mul_add.select,
    FusedPattern.SHIFT_MAX: shift_max.select,
}

_DSP: Mapping[OpKind | FusedPattern, Select] = {
    OpKind.CONV_2D: conv_2d.select,
    OpKind.DEPTHWISE_CONV_2D: depthwise_conv_2d.select,
    OpKind.FULLY_CONNECTED: fully_connected.select,
    FusedPattern.MDW_MAX: mdw_max.select,
    FusedPattern.MUL_DEPTHWISE: mul_depthwise.select,
    FusedPattern.DEPTHWISE_PAIR: depthwise_pair.select,
    FusedPattern.MEAN_VARIANCE: mean_variance.select,
    OpKind.ADD: add.select,
    OpKind.SUB: add.select,
    OpKind.MUL: mul.select,
    FusedPattern.MUL_MAX: mul_max.select,
}

_KERNELS: Mapping[Isa, Mapping[OpKind | FusedPattern, Select]] = {PLAIN: _PLAIN, ARMV6M: {}, DSP: _DSP}


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call that computes an operator on the build's instruction set, or on the one that it falls back to.

    A table fused into its producer is the work of the producer's kernel. Operators on int16 have kernels that serve all.
    Raises GraphError for a fused operator that breaks its pattern's contract: its kernel would compute something else.
    """
    if works_on_int16(op, graph):
        return int16x8.select(op, graph, build)
    what: OpKind | FusedPattern = op.kind
    if isinstance(op.attrs, FusedAttrs):
        broken = broken_clause(op, graph)
        if broken is not None:
            raise GraphError(f"{op.kind_name} is not a {op.attrs.pattern.value}: {broken}")
        what = op.attrs.pattern
        if what is FusedPattern.PRODUCER_TABLE:
            what = op.attrs.body[0].kind
    kernel = next(_KERNELS[isa][what] for isa in build.isa.chain if what in _KERNELS[isa])
    return kernel(op, graph, build)
