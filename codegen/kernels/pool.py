"""AVERAGE_POOL_2D and MAX_POOL_2D: windows of any size, stride and padding; four channels at a time."""

from __future__ import annotations

from ..build import Build
from ..ir import Graph, Op, OpKind, PoolAttrs
from .base import KernelCall, RowSchedule, untyped_call


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a pooling operator; padded positions do not count."""
    assert isinstance(op.attrs, PoolAttrs)
    (_, in_h, in_w, c), (_, out_h, out_w, _) = graph.tensor(op.inputs[0]).shape, graph.tensor(op.output).shape
    window = op.attrs.window
    first_rows = [max(0, y * window.stride_h - window.pad_top) for y in range(out_h)]
    schedule = RowSchedule(
        tuple((y + 1) * out_w * c for y in range(out_h)),
        tuple(row * in_w * c for row in first_rows),
    )
    return untyped_call(
        template="average_pool_2d" if op.kind is OpKind.AVERAGE_POOL_2D else "max_pool_2d",
        shape={
            "in_h": in_h,
            "in_w": in_w,
            "out_h": out_h,
            "out_w": out_w,
            "c": c,
            "kernel_h": window.kernel_h,
            "kernel_w": window.kernel_w,
            "stride_h": window.stride_h,
            "stride_w": window.stride_w,
            "pad_top": window.pad_top,
            "pad_left": window.pad_left,
            "low": op.attrs.activation_min,
            "high": op.attrs.activation_max,
        },
        inputs=(op.inputs[0],),
        outputs=(op.output,),
        sharing={op.inputs[0]: schedule},
    )
