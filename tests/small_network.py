"""A small network with a weighted, a table, an elementwise and a reducing operator, for tests that need more than one."""

from __future__ import annotations

import numpy as np

from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite


def small_network(seed: int = 0, size: int = 8) -> bytes:
    """CONV_2D -> HARD_SWISH -> DEPTHWISE_CONV_2D -> ADD with the swish -> MEAN -> LOGISTIC, tensors named after them."""
    rng = np.random.default_rng(seed)

    def activation(name: str, *shape: int, scale: float = 0.05, zero_point: int = -4) -> TensorSpec:
        return TensorSpec(name, shape, "int8", (scale,), (zero_point,))

    def weights(name: str, shape: tuple[int, ...], axis: int, scale: float) -> TensorSpec:
        scales = tuple(float(np.float32(s)) for s in rng.uniform(0.5, 1, shape[axis]) * scale)
        return TensorSpec(name, shape, "int8", scales, (0,) * len(scales), axis, rng.integers(-127, 128, shape).astype(np.int8))

    def bias(name: str, of: TensorSpec, input_scale: float) -> TensorSpec:
        scales = tuple(float(np.float32(s * input_scale)) for s in of.scales)
        data = rng.integers(-500, 500, len(scales)).astype(np.int32)
        return TensorSpec(name, (len(scales),), "int32", scales, (0,) * len(scales), 0, data)

    w1, w2 = weights("w1", (6, 3, 3, 3), 0, 0.004), weights("w2", (1, 3, 3, 6), 3, 0.008)
    tensors = (
        activation("image", 1, size, size, 3, scale=0.02, zero_point=0), w1, bias("b1", w1, 0.02),
        activation("conv", 1, size, size, 6), activation("swish", 1, size, size, 6), w2, bias("b2", w2, 0.05),
        activation("depthwise", 1, size, size, 6), activation("sum", 1, size, size, 6, scale=0.08),
        TensorSpec("axes", (2,), "int32", data=np.int32([1, 2])), activation("mean", 1, 6, scale=0.02),
        activation("gate", 1, 6, scale=1 / 256, zero_point=-128),
    )  # fmt: skip
    same = {"padding": "SAME", "strideH": 1, "strideW": 1}
    ops = (
        OpSpec("CONV_2D", ("image", "w1", "b1"), ("conv",), same),
        OpSpec("HARD_SWISH", ("conv",), ("swish",)),
        OpSpec("DEPTHWISE_CONV_2D", ("swish", "w2", "b2"), ("depthwise",), {**same, "depthMultiplier": 1}),
        OpSpec("ADD", ("depthwise", "swish"), ("sum",), {}),
        OpSpec("MEAN", ("sum", "axes"), ("mean",), {"keepDims": False}),
        OpSpec("LOGISTIC", ("mean",), ("gate",)),
    )
    return write_tflite(ModelSpec(tensors, ops, ("image",), ("gate",)))
