"""A small writer of ONNX graphs: nodes with generated names, shared constants, and the integer arithmetic of `fixed_point`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..codegen.fixed_point import reduced_multiplier
from ..codegen.ir import DType, Graph, Tensor

OPSET = 18
IR_VERSION = 10

ELEMENTS = {DType.INT8: TensorProto.INT8, DType.INT16: TensorProto.INT16}

Array = npt.NDArray[np.generic]


class OnnxGraph:
    """Nodes in order, each result named `<scope>/<number>_<operator>`; IR names have no slash, so they never meet."""

    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.scope = ""
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._memo: dict[tuple[str, str], str] = {}

    def node(self, op_type: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node with one output; the output's name."""
        result = output or f"{self.scope}/{len(self.nodes)}_{op_type}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [result], name=f"{len(self.nodes)}_{op_type}", **attributes))
        return result

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """The name of an initializer; equal constants are one."""
        array = np.ascontiguousarray(np.asarray(values, dtype))
        if np.ndim(values) == 0:
            array = array.reshape(())
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant/{len(self._constants)}"
            self._constants[key] = name
            self.initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def int64(self, values: npt.ArrayLike) -> str:
        return self.constant(values, np.int64)

    def activation(self, name: str) -> str:
        """An IR tensor by its name; a constant operand becomes an initializer."""
        tensor = self.source.tensor(name)
        return self.constant(tensor.constant(), tensor.dtype.value) if tensor.is_constant else name

    # --- views of an activation, made once however many operators read it ------------------------------------------

    def cast(self, name: str, dtype: int) -> str:
        key = (name, f"cast {dtype}")
        if key not in self._memo:
            self._memo[key] = self.node("Cast", self.activation(name), to=dtype)
        return self._memo[key]

    def centred(self, name: str) -> str:
        """int64: stored value - zero point."""
        key = (name, "centred")
        if key not in self._memo:
            zero_point = self.source.tensor(name).zero_point
            self._memo[key] = self.node("Sub", self.cast(name, TensorProto.INT64), self.int64(zero_point))
        return self._memo[key]

    def nchw(self, name: str) -> str:
        """Stored values, channels first."""
        key = (name, "nchw")
        if key not in self._memo:
            self._memo[key] = self.node("Transpose", self.activation(name), perm=[0, 3, 1, 2])
        return self._memo[key]

    def unsigned(self, value: str) -> str:
        """uint8: an int8 value plus 128, which flips its top bit."""
        key = (value, "unsigned")
        if key not in self._memo:
            bits = self.node("Cast", value, to=TensorProto.UINT8)
            self._memo[key] = self.node("BitwiseXor", bits, self.constant(128, np.uint8))
        return self._memo[key]

    # --- arithmetic on int64 ----------------------------------------------------------------------------------------

    def floor_shift(self, value: str, bits: int | npt.NDArray[np.int64]) -> str:
        """value >> bits: ONNX's Div truncates, so the remainder, which Mod gives the divisor's sign, is taken off first."""
        power = self.int64(np.int64(1) << np.asarray(bits, np.int64))
        return self.node("Div", self.node("Sub", value, self.node("Mod", value, power)), power)

    def high_mul(self, a: str, b: str) -> str:
        """floor((a * b + 2^30) / 2^31)."""
        product = self.node("Add", self.node("Mul", a, b), self.int64((1 << 30) + (1 << 62)))
        return self.node("Sub", self.node("Div", product, self.int64(1 << 31)), self.int64(1 << 31))

    def divide_by_pot(self, value: str, bits: int | npt.NDArray[np.int64]) -> str:
        """value / 2^bits rounded half away from zero."""
        right = np.asarray(bits, np.int64)
        if not right.any():
            return value
        half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
        nudge = self.node("Mul", self.node("Sign", value), self.int64(half))
        return self.node("Div", self.node("Add", value, nudge), self.int64(np.int64(1) << right))

    def requantize(self, acc: str, multiplier: int | npt.NDArray[np.int64], shift: int | npt.NDArray[np.int64]) -> str:
        """Double rounding: `fixed_point.requantize`."""
        shifts = np.asarray(shift, np.int64)
        factor = np.asarray(multiplier, np.int64) << np.maximum(shifts, 0)
        return self.divide_by_pot(self.high_mul(acc, self.int64(factor)), np.maximum(-shifts, 0))

    def requantize_64(self, acc: str, multiplier: npt.NDArray[np.int64], shift: npt.NDArray[np.int64]) -> str:
        """One rounding by a multiplier of 16 bits: `fixed_point.requantize_64`."""
        total = 15 - np.asarray(shift, np.int64)
        product = self.node("Mul", acc, self.int64(reduced_multiplier(multiplier)))
        return self.floor_shift(self.node("Add", product, self.int64(np.int64(1) << (total - 1))), total)

    def stored(
        self, value: str, zero_point: int, low: int, high: int, output: str | None = None, dtype: DType = DType.INT8
    ) -> str:
        """Add the zero point, clamp and store."""
        shifted = self.node("Add", value, self.int64(zero_point)) if zero_point else value
        clamped = self.node("Clip", shifted, self.int64(low), self.int64(high))
        return self.node("Cast", clamped, to=ELEMENTS[dtype], output=output)

    # --- the model --------------------------------------------------------------------------------------------------

    def model(self, outputs: Sequence[Tensor]) -> onnx.ModelProto:
        """The checked model whose inputs are the IR graph's inputs and variables, and whose outputs are the given tensors."""
        inputs = [self.source.tensor(name) for name in self.source.given]
        graph = helper.make_graph(
            self.nodes, self.source.name or "model", [_value(t) for t in inputs], [_value(t) for t in outputs], self.initializers
        )
        model = helper.make_model(
            graph, producer_name="flynet-tiny", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def _value(tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, ELEMENTS[tensor.dtype], list(tensor.shape))
