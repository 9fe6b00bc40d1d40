"""A float ONNX model and calibration images -> an int8 `.tflite`, and what each of its tensors stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .activation_scales import Affine, calibrated_values, choose_scales
from .calibrate import Batch, Feed, Progress, RangeMethod, calibrate
from .float_graph import Array, FloatGraph, FloatTensor
from .lower import lower
from .onnx_graph import OnnxGraph, load_onnx
from .quantize import quantize_with
from .simplify import simplify
from .tflite_writer import write_tflite


@dataclass(frozen=True, eq=False)
class TensorOrigin:
    """A tensor of the `.tflite` (its index and name there) that holds an ONNX value.

    is_selected_from  the next operator selects from its elements (a Max-out), and its scale holds those that can be selected
    """

    index: int
    kind: str
    tensor: FloatTensor
    affine: Affine
    is_selected_from: bool

    @property
    def value(self) -> str:
        assert self.tensor.value is not None
        return self.tensor.value

    def quantize(self, real: Array) -> Array:
        """int8 values [1, ...] in the tensor's order and shape of an ONNX value of one image: round half to even, clamp."""
        stored = (self.tensor.stored(real.astype("float64")) / self.affine.scale).round() + self.affine.zero_point
        return stored.clip(-128, 127).astype("int8")

    def dequantize(self, stored: Array) -> Array:
        """The real numbers of int8 values, in the tensor's own order and shape."""
        return self.affine.scale * (stored.astype("float64") - self.affine.zero_point)


@dataclass(frozen=True, eq=False)
class ExportResult:
    """tflite   the file
    float_graph  the simplified float ONNX graph, which computes every value that an origin names
    origins      the tensors that operators compute, in order, where an ONNX value has the same elements; the inputs first
    outputs      the tensors that hold the network's outputs, in order
    """

    name: str
    tflite: bytes
    float_graph: OnnxGraph
    origins: tuple[TensorOrigin, ...]
    calibration_images: int
    outputs: tuple[FloatTensor, ...] = ()

    @property
    def input(self) -> TensorOrigin:
        """The input: NCHW in ONNX, NHWC int8 in the `.tflite`."""
        return self.origins[0]

    @property
    def input_scale(self) -> float:
        return self.input.affine.scale

    @property
    def input_zero_point(self) -> int:
        return self.input.affine.zero_point

    @property
    def inputs(self) -> tuple[TensorOrigin, ...]:
        """All inputs, in order."""
        return self.origins[: len(self.float_graph.inputs)]

    def quantize_input(self, images: Array) -> Array:
        """Images [N, C, H, W] as the int8 network takes them, [N, H, W, C]."""
        return np.concatenate([self.input.quantize(image[None]) for image in images])

    def quantize_inputs(self, image: Feed) -> list[Array]:
        """One image of each input as the int8 network takes it."""
        return [origin.quantize(image[origin.value]) for origin in self.inputs]


@dataclass(frozen=True, eq=False)
class CalibratedNetwork:
    """A lowered network with the quantization of every tensor, ready to be fine-tuned or written.

    onnx   the simplified float graph;  graph  lowered, with the QUANTIZEs that ties need
    """

    onnx: OnnxGraph
    graph: FloatGraph
    affine: Mapping[str, Affine]
    calibration_images: int


def export_tflite(
    onnx_model: str | Path | bytes,
    calibration: Iterable[Batch],
    *,
    name: str,
    method: RangeMethod = RangeMethod.MIN_MAX,
    progress: Progress | None = None,
) -> ExportResult:
    """The int8 network of a float ONNX model (a path or the file's bytes).

    calibration  batches [N, C, H, W] of float32 images as the float network takes them, from the distribution of use; of a
                 network with several inputs by their names
    progress     called with the number of calibration images done
    Raises BadModel, UnsupportedOperators (all at once) and BadData.
    """
    return write_network(calibrate_network(onnx_model, calibration, method=method, progress=progress), name)


def require_lowerable(graph: OnnxGraph) -> None:
    """Raise what `calibrate_network` will: UnsupportedOperators with all of them, or BadModel."""
    lower(simplify(graph))


def calibrate_network(
    onnx_model: str | Path | bytes,
    calibration: Iterable[Batch],
    *,
    method: RangeMethod = RangeMethod.MIN_MAX,
    progress: Progress | None = None,
) -> CalibratedNetwork:
    """The first half of `export_tflite`: everything but the rounding of the weights."""
    graph = simplify(load_onnx(onnx_model))
    lowered = lower(graph)
    ranges = calibrate(graph, calibrated_values(lowered), calibration, method=method, progress=progress)
    return CalibratedNetwork(graph, *choose_scales(lowered, ranges), ranges.num_images)


def write_network(network: CalibratedNetwork, name: str) -> ExportResult:
    """The second half: weights and biases rounded, and the file's bytes."""
    quantized = quantize_with(network.graph, network.affine)
    index_of = {tensor.name: index for index, tensor in enumerate(quantized.model.tensors)}
    kinds = {op.outputs[0]: op.opcode for op in quantized.model.ops}
    origins = []
    for name_in_file in (*quantized.model.inputs, *(name for name in kinds if name in quantized.tensors)):
        kind, tensor = kinds.get(name_in_file, "INPUT"), quantized.tensors[name_in_file]
        if kind != "RESHAPE" and tensor.value is not None:
            affine, selected = quantized.affine[name_in_file], name_in_file not in quantized.measured
            origins.append(TensorOrigin(index_of[name_in_file], kind, tensor, affine, selected))
    outputs = tuple(quantized.tensors[output] for output in quantized.model.outputs)
    return ExportResult(name, write_tflite(quantized.model), network.onnx, tuple(origins), network.calibration_images, outputs)
