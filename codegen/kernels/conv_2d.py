"""CONV_2D, with or without an activation table."""

from __future__ import annotations

from ..build import Build
from ..ir import Graph, Op, Window
from .base import KernelCall, ShapeValue, untyped_call
from .conv_1d import conv_1d_call, is_conv_1d
from .convolution import Convolution, convolution, window_shape
from .depthwise import depthwise_call
from .products import joins_rest, pair_order, product_arrays, product_scalars, product_shape, products, window_schedule


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a CONV_2D, alone or with the table of its activation."""
    conv = convolution(op, graph)
    _, in_h, in_w, c_in = conv.input_shape
    _, out_h, out_w, c_out = conv.output_shape
    share = conv.weights.shape[3]
    groups = c_in // share
    if is_conv_1d(conv):
        return conv_1d_call(conv, op.inputs[0], op.outputs, build)
    if c_in == c_out == 1:  # one map, one filter: a depthwise convolution reads it with less work
        return depthwise_call(conv, 1, False, op.inputs[0], op.outputs, build)
    run_bytes, num_runs = window_runs(conv.attrs.window, share, groups > 1)
    joined = joins_rest(run_bytes, num_runs, conv.attrs.window.kernel_h)
    packed = products(conv, pair_order(run_bytes, num_runs, joined), out_h * out_w, build, groups=groups)
    shape: dict[str, ShapeValue] = {
        **window_shape(conv),
        **product_shape(conv, packed, out_h * out_w, build),
        "run_bytes": run_bytes,
        "num_runs": num_runs,
        "joins_rest": joined,
        "rest_bytes": run_bytes % 4 * num_runs,
        "pointwise": is_pointwise(conv),
        "patch_bytes": run_bytes * num_runs * groups if reaches_outside(conv) else 0,
        "groups": groups,
        "group_in": share,
        "group_out": c_out // groups,
    }
    pixels = shape["pixels"]
    assert isinstance(pixels, int)
    patch_bytes = shape["patch_bytes"]
    assert isinstance(patch_bytes, int)
    schedule = window_schedule((in_h, in_w, c_in), (out_h, out_w), c_out, conv.attrs.window, pixels, groups)
    return untyped_call(
        "conv_2d",
        shape,
        (op.inputs[0],),
        op.outputs,
        arrays=product_arrays(conv, packed),
        scalars=product_scalars(shape, conv),
        scratch_bytes=4 * packed.pairs * pixels + patch_bytes,
        sharing={op.inputs[0]: schedule},
    )


def window_runs(window: Window, share: int, is_grouped: bool) -> tuple[int, int]:
    """How many neighbouring bytes a window reads at a time, and how many times; a group reads `share` channels of a pixel."""
    if window.kernel_w == 1 or (window.dilation_w == 1 and not is_grouped):
        return window.kernel_w * share, window.kernel_h
    return share, window.kernel_h * window.kernel_w


def is_pointwise(conv: Convolution) -> bool:
    """1x1, stride 1, no padding: the pixels' windows follow each other in memory."""
    w = conv.attrs.window
    return (w.kernel_h, w.kernel_w, w.stride_h, w.stride_w) == (1, 1, 1, 1) and conv.input_shape[:3] == conv.output_shape[:3]


def reaches_outside(conv: Convolution) -> bool:
    """Whether a window touches the padding."""
    w = conv.attrs.window
    _, in_h, in_w, _ = conv.input_shape
    _, out_h, out_w, _ = conv.output_shape
    last_y = (out_h - 1) * w.stride_h - w.pad_top + (w.kernel_h - 1) * w.dilation_h
    last_x = (out_w - 1) * w.stride_w - w.pad_left + (w.kernel_w - 1) * w.dilation_w
    return w.pad_top > 0 or w.pad_left > 0 or last_y >= in_h or last_x >= in_w
