"""A float network in TFLite's operators and NHWC shapes: what lowering makes and quantization reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy.typing as npt

from .layout import Layout

Array = npt.NDArray[Any]


class Kind(Enum):
    """The TFLite operators that a lowered network may hold; the value is the builtin name."""

    CONV_2D = "CONV_2D"
    DEPTHWISE_CONV_2D = "DEPTHWISE_CONV_2D"
    ADD = "ADD"
    SUB = "SUB"
    MUL = "MUL"
    MAXIMUM = "MAXIMUM"
    MINIMUM = "MINIMUM"
    SQUARED_DIFFERENCE = "SQUARED_DIFFERENCE"
    MEAN = "MEAN"
    REDUCE_MAX = "REDUCE_MAX"
    REDUCE_MIN = "REDUCE_MIN"
    AVERAGE_POOL_2D = "AVERAGE_POOL_2D"
    MAX_POOL_2D = "MAX_POOL_2D"
    SOFTMAX = "SOFTMAX"
    LOGISTIC = "LOGISTIC"
    HARD_SWISH = "HARD_SWISH"
    RELU = "RELU"
    RELU6 = "RELU6"
    LEAKY_RELU = "LEAKY_RELU"
    TANH = "TANH"
    TABLE = "TABLE"  # a function of one value, written as CAST, CAST and GATHER; its option is the `term`
    PRELU = "PRELU"
    BATCH_MATMUL = "BATCH_MATMUL"
    RESIZE_BILINEAR = "RESIZE_BILINEAR"
    TRANSPOSE = "TRANSPOSE"
    CONCATENATION = "CONCATENATION"
    SLICE = "SLICE"
    STRIDED_SLICE = "STRIDED_SLICE"
    GATHER = "GATHER"
    PAD = "PAD"
    RESHAPE = "RESHAPE"
    QUANTIZE = "QUANTIZE"  # from one scale to another; lowering makes none, quantization does


@dataclass(frozen=True, eq=False)
class FloatTensor:
    """A tensor of the lowered network; a constant when `data` (of its shape) is given.

    value   the ONNX value that it holds, None where no value has its elements (a padded input)
    layout  how that value's logical axes lie in the tensor's memory
    """

    name: str
    shape: tuple[int, ...]
    value: str | None
    layout: Layout | None
    data: Array | None = None

    def stored(self, logical: Array) -> Array:
        """The ONNX value's array as this tensor holds it."""
        assert self.layout is not None
        return self.layout.to_memory(logical).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class FloatOp:
    """One operator. Inputs are tensors; `weights` are in TFLite's order (OHWI, depthwise 1HWC), `bias` has one value a channel.

    parameters  integer constants that follow the inputs: axes, paddings, begins and sizes, indices
    saturates   the output ends where a Clip ends it: int8 saturates at its calibrated range, which nothing may widen
    node        the ONNX node that it came from, for messages
    """

    kind: Kind
    inputs: tuple[str, ...]
    output: str
    node: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Array | None = None
    bias: Array | None = None
    parameters: tuple[Array, ...] = ()
    saturates: bool = False

    @property
    def depth_multiplier(self) -> int:
        return int(self.options.get("depthMultiplier", 0))


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """Operators in order of execution over named tensors."""

    tensors: Mapping[str, FloatTensor]
    ops: tuple[FloatOp, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def with_ops(self, ops: Sequence[FloatOp]) -> FloatGraph:
        """The network with these operators, less those that nothing reads, and with the tensors that are left."""
        live = set(self.outputs)
        kept: list[FloatOp] = []
        for op in reversed(ops):
            if op.output in live:
                kept.append(op)
                live.update(op.inputs)
        live.update(self.inputs)
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in live}
        return replace(self, tensors=tensors, ops=tuple(reversed(kept)))

    def use_counts(self) -> dict[str, int]:
        """How often each tensor is read; being a graph's output counts once."""
        counts = dict.fromkeys(self.tensors, 0)
        for name in [name for op in self.ops for name in op.inputs] + list(self.outputs):
            counts[name] += 1
        return counts

    def values(self) -> list[str]:
        """The ONNX values that its tensors hold, each once, in order."""
        return list(dict.fromkeys(t.value for t in self.tensors.values() if t.value is not None and t.data is None))
