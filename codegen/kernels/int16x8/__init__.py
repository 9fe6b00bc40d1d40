"""Kernels of operators on int16 activations with int8 weights, for every core.

`select` is their table of contents; moves are those of int8, on twice as many bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...activations_16 import SLOPED
from ...build import Build
from ...ir import Graph, Op, OpKind
from .. import concatenation, gather, pad, reshape, slice
from ..base import KernelCall
from . import convolution, depthwise, elementwise, functions, reductions

_KERNELS: Mapping[OpKind, Callable[[Op, Graph, Build], KernelCall]] = {
    OpKind.CONV_2D: convolution.select,
    OpKind.DEPTHWISE_CONV_2D: depthwise.select,
    OpKind.FULLY_CONNECTED: convolution.select_fully_connected,
    OpKind.ADD: elementwise.select_add,
    OpKind.SUB: elementwise.select_add,
    OpKind.MUL: elementwise.select_mul,
    OpKind.LOGISTIC: functions.select_curve,
    OpKind.TANH: functions.select_curve,
    OpKind.SOFTMAX: functions.select_softmax,
    OpKind.MEAN: reductions.select_mean,
    OpKind.AVERAGE_POOL_2D: reductions.select_pool,
    OpKind.MAX_POOL_2D: reductions.select_pool,
    OpKind.CONCATENATION: concatenation.select,
    OpKind.SLICE: slice.select,
    OpKind.STRIDED_SLICE: slice.select,
    OpKind.GATHER: gather.select,
    OpKind.TRANSPOSE: slice.select_transpose,
    OpKind.PAD: pad.select,
    OpKind.RESHAPE: reshape.select,
    **{OpKind(name): functions.select_slopes for name in SLOPED},
}


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call that computes an operator on int16."""
    return _KERNELS[op.kind](op, graph, build)
