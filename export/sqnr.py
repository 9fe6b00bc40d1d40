"""How much noise int8 adds, layer by layer: the float values of the ONNX graph against the int8 tensors of the `.tflite`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .float_graph import Array
from .tflite_export import ExportResult, TensorOrigin

RunInt8 = Callable[[Array, tuple[int, ...]], list[Array]]  # int8 input [1, H, W, C], tensor indices -> those tensors


@dataclass(frozen=True)
class LayerNoise:
    """Signal to quantization noise of one tensor over all images, in dB (infinite where int8 is exact)."""

    value: str
    kind: str
    sqnr_db: float


def measure_sqnr(result: ExportResult, batches: Iterable[Array], run_int8: RunInt8 | None = None) -> list[LayerNoise]:
    """The noise of every tensor that holds an ONNX value, in order of execution, over float images [N, C, H, W].

    run_int8  how the int8 network is run; LiteRT's reference kernels in this process by default
    """
    run_int8 = run_int8 or litert_reference(result.tflite)
    values = list(dict.fromkeys(origin.value for origin in result.origins[1:]))
    session = result.float_graph.session(values)
    indices = tuple(origin.index for origin in result.origins)
    signal, noise = np.zeros(len(result.origins)), np.zeros(len(result.origins))
    for image in _images(batches):
        floats = dict(zip(values, session.run(values, {result.float_graph.inputs[0]: image}), strict=True))
        floats[result.input.value] = image
        stored = run_int8(result.quantize_input(image), indices)
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


def _images(batches: Iterable[Array]) -> Iterator[Array]:
    for batch in batches:
        for image in np.asarray(batch, np.float32):
            yield image[None]


def litert_reference(tflite: bytes) -> RunInt8:
    """LiteRT with its reference kernels, every tensor kept. For files of this exporter only: LiteRT can abort on others."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=tflite,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]

    def run(image: Array, indices: tuple[int, ...]) -> list[Array]:
        interpreter.set_tensor(input_index, image)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in indices]

    return run
