"""How much noise int8 adds, layer by layer: the float values of the ONNX graph against the int8 tensors of the `.tflite`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .calibrate import Batch, feeds
from .float_graph import Array
from .tflite_export import ExportResult, TensorOrigin

RunInt8 = Callable[[Sequence[Array], tuple[int, ...]], list[Array]]  # int8 inputs [1, H, W, C], tensor indices -> those


@dataclass(frozen=True)
class LayerNoise:
    """Signal to quantization noise of one tensor over all images, in dB (infinite where int8 is exact)."""

    value: str
    kind: str
    sqnr_db: float


def measure_sqnr(result: ExportResult, batches: Iterable[Batch], run_int8: RunInt8 | None = None) -> list[LayerNoise]:
    """The noise of every tensor that holds an ONNX value, in order of execution, over float images [N, C, H, W], of
    several inputs by name.

    run_int8  how the int8 network is run; LiteRT's reference kernels in this process by default
    """
    run_int8 = run_int8 or litert_reference(result.tflite)
    inputs = result.float_graph.inputs
    values = list(dict.fromkeys(origin.value for origin in result.origins if origin.value not in inputs))
    session = result.float_graph.session(values)
    indices = tuple(origin.index for origin in result.origins)
    signal, noise = np.zeros(len(result.origins)), np.zeros(len(result.origins))
    for image in feeds(result.float_graph, batches):
        floats = dict(zip(values, session.run(values, image), strict=True)) | dict(image)
        stored = run_int8(result.quantize_inputs(image), indices)
        for position, (origin, int8) in enumerate(zip(result.origins, stored, strict=True)):
            real = origin.tensor.stored(floats[origin.value]).astype(np.float64)
            if origin.is_selected_from:  # what lies below every maximum is not signal
                real = real.clip(*origin.affine.bounds)
            signal[position] += np.square(real).sum()
            noise[position] += np.square(origin.dequantize(int8) - real).sum()
    return [_layer(origin, s, n) for origin, s, n in zip(result.origins, signal, noise, strict=True)]


def _layer(origin: TensorOrigin, signal: float, noise: float) -> LayerNoise:
    ratio = math.inf if noise == 0 else 10 * math.log10(signal / noise) if signal else -math.inf
    return LayerNoise(origin.value, origin.kind, ratio)


def litert_reference(tflite: bytes) -> RunInt8:
    """LiteRT with its reference kernels, every tensor kept. For files of this exporter only: LiteRT can abort on others."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=tflite,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    input_indices = [detail["index"] for detail in interpreter.get_input_details()]

    def run(images: Sequence[Array], indices: tuple[int, ...]) -> list[Array]:
        for index, image in zip(input_indices, images, strict=True):
            interpreter.set_tensor(index, image)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in indices]

    return run
