"""CONV_2D in plain C, with or without an activation table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...build import Build
from ...ir import Graph, Op
from ..base import KernelCall
from ..conv_2d import is_pointwise, reaches_outside
from ..convolution import convolution
from ..im2col import window_schedule
from ..parameters import KernelParameters, code, data, group, size
from .depthwise import Filters, depthwise_call
from .products import Outputs, Products, outputs, products


@dataclass(frozen=True, eq=False)
class Conv2d(KernelParameters):
    """The parameters of plain/conv_2d; a size that the form does not use is None.

    is_contiguous  a kernel row's values are neighbours in the map
    has_rest       some pixels are left over
    end_x          where a window would begin behind the last of a row
    row_bytes      values of a kernel row
    """

    template: ClassVar[str] = "plain/conv_2d"
    shown: ClassVar[Mapping[str, str]] = {"c": "c_in"}

    is_pointwise: bool = code()
    is_contiguous: bool = code()
    is_grouped: bool = code()
    reaches_outside: bool = code()
    has_rest: bool = code()
    kernel_h: int = code()
    kernel_w: int = code()
    in_h: int | None = size()
    in_w: int | None = size()
    c_in: int = size()
    end_x: int | None = size()
    c_out: int = size()
    num_pixels: int = size()
    stride_h: int | None = size()
    stride_w: int | None = size()
    dilation_h: int | None = size()
    dilation_w: int | None = size()
    pad_top: int | None = size()
    pad_left: int | None = size()
    groups: int | None = size()
    group_in: int | None = size()
    group_out: int | None = size()
    row_bytes: int | None = size()
    group_weights: int | None = size()
    group_constants: int | None = size()
    input_zero_point: int | None = data()
    products: Products = group()
    outputs: Outputs = group()

    @property
    def name(self) -> str:
        return f"conv_{self.kernel_h}x{self.kernel_w}"

    @property
    def stored(self) -> str:
        return "int8"

    @property
    def summary(self) -> str:
        groups = " in groups of channels" if self.is_grouped else ""
        return (
            f"Convolution {self.kernel_h}x{self.kernel_w}{groups}: {self.products.pixels} windows at a time are copied into "
            f"scratch and multiplied with {self.products.lanes} output channels at a time."
        )


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a CONV_2D, alone or with the table of its activation."""
    conv = convolution(op, graph)
    window = conv.attrs.window
    _, in_h, in_w, c_in = conv.input_shape
    _, out_h, out_w, c_out = conv.output_shape
    share = conv.weights.shape[3]
    if c_in == c_out == 1:  # one map, one filter: a depthwise convolution reads it with less work
        return depthwise_call(conv, Filters(1), op.inputs[:1], op.outputs, build)
    groups = c_in // share
    made, scale = products(conv, out_h * out_w, build.isa, groups)
    outside, pointwise, is_grouped = reaches_outside(conv), is_pointwise(conv), groups > 1
    contiguous = not is_grouped and 1 in (window.kernel_w, window.dilation_w)

    def windowed(value: int, used: bool = True) -> int | None:
        return value if used and not pointwise else None

    def grouped(value: int) -> int | None:
        return value if is_grouped else None

    parameters = Conv2d(
        is_pointwise=pointwise,
        is_contiguous=contiguous,
        is_grouped=is_grouped,
        reaches_outside=outside,
        has_rest=out_h * out_w % made.pixels > 0,
        kernel_h=window.kernel_h,
        kernel_w=window.kernel_w,
        in_h=windowed(in_h, outside),
        in_w=windowed(in_w),
        c_in=c_in,
        end_x=windowed(out_w * window.stride_w - window.pad_left),
        c_out=c_out,
        num_pixels=out_h * out_w,
        stride_h=windowed(window.stride_h),
        stride_w=windowed(window.stride_w),
        dilation_h=windowed(window.dilation_h, window.kernel_h > 1),
        dilation_w=windowed(window.dilation_w, not contiguous and window.kernel_w > 1),
        pad_top=windowed(window.pad_top),
        pad_left=windowed(window.pad_left),
        groups=grouped(groups),
        group_in=share if pointwise or is_grouped or not contiguous else None,
        group_out=grouped(c_out // groups),
        row_bytes=windowed(window.kernel_w * share),
        group_weights=grouped(made.weights.size // groups),
        group_constants=grouped(scale.channels.size // groups),
        input_zero_point=conv.input_zero_point if outside else None,
        products=made,
        outputs=outputs(conv, scale),
    )
    return KernelCall(
        parameters,
        (op.inputs[0],),
        op.outputs,
        scratch_bytes=made.depth * made.pixels,
        sharing={op.inputs[0]: window_schedule((in_h, in_w, c_in), (out_h, out_w), c_out, window, made.pixels, groups)},
        accumulator=(scale.low, scale.high),
    )
