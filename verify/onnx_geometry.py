"""Windows and weights as ONNX's convolutions and pools take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..codegen.ir import Graph, Op, OpKind, Window, conv_groups


def convolution_geometry(window: Window) -> dict[str, Any]:
    """The attributes of an ONNX convolution or pool of a window."""
    return {
        "kernel_shape": [window.kernel_h, window.kernel_w],
        "strides": [window.stride_h, window.stride_w],
        "pads": [window.pad_top, window.pad_left, window.pad_bottom, window.pad_right],
    }


def dilations(window: Window) -> list[int]:
    """The `dilations` attribute of an ONNX convolution."""
    return [window.dilation_h, window.dilation_w]


def weights_oihw(op: Op, graph: Graph) -> npt.NDArray[np.generic]:
    """Weights of CONV_2D or DEPTHWISE_CONV_2D in ONNX's layout [c_out, c_in / groups, kernel_h, kernel_w]."""
    weights = graph.tensor(op.inputs[1]).constant()
    return weights.transpose(0, 3, 1, 2) if op.kind is OpKind.CONV_2D else weights.transpose(3, 0, 1, 2)


def groups_of(op: Op, graph: Graph) -> int:
    """The `group` of an ONNX convolution."""
    return graph.tensor(op.inputs[0]).shape[3] if op.kind is OpKind.DEPTHWISE_CONV_2D else conv_groups(op, graph)


def shifted(weights: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Weights as ConvInteger and MatMulInteger take them: plus 128, with zero point 128 (uint8 never saturates)."""
    return weights.astype(np.int64) + 128


def uniform(values: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """One number for each channel, or a scalar when they are all the same."""
    return values[0].reshape(()) if (values == values[0]).all() else values.reshape(shape)


def real_positions(size: int, kernel: int, stride: int, before: int, after: int) -> npt.NDArray[np.int64]:
    """For each output position along one axis: how many kernel positions lie on the map."""
    first = np.arange(0, size + before + after - kernel + 1, stride) - before
    return np.minimum(first + kernel, size) - np.maximum(first, 0)
