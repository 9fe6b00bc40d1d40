"""Everything that can be evaluated, behind one face: normalised images in, scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..codegen.ir import Graph
from ..codegen.schedule.least_memory import require_host_memory
from ..deploy.console import Reporter
from ..deploy.contents import built_firmware, host_library, read_contents, require_firmware
from ..deploy.model_file import open_tflite
from ..deploy.network import Floats, quantize_images
from ..deploy.proof import CANNOT_RUN, first_line
from ..errors import BadData, BadModel, UsageError
from ..firmware.toolchain import Tool, require_tools
from ..flynet.data.pixels import Pixels
from ..folders.regular_file import read_regular
from ..sources.extras import require_torch
from ..verify.litert_judge import LiteRtOrTwin
from ..verify.onnx_qdq import ORT_ERRORS
from ..verify.qemu import run_emulated

Scores = npt.NDArray[Any]
EMULATION_TIMEOUT_S = 600
_MOST_ONNX_BYTES = 2**31 - 1  # of any protocol buffer


@dataclass(frozen=True)
class Classifier:
    """scores  normalised images [N, C, H, W] to [N, classes];  batch  how many images it likes at a time
    class_names  where the file knows them, else empty
    remark  what must be said beside `runtime` once the images are done, else empty
    graph   of an int8 network, as read
    pixels  how it wants pictures to be normalised, where it says so
    """

    runtime: str
    resolution: int
    channels: int
    classes: int
    batch: int
    scores: Callable[[Floats], Scores]
    class_names: tuple[str, ...] = ()
    remark: Callable[[], str] = lambda: ""
    graph: Graph | None = None
    pixels: Pixels | None = None


@contextmanager
def open_classifier(model: Path, runtime: str | None) -> Iterator[Classifier]:
    """The classifier in a file (.pt, .onnx, .tflite) or in an output folder, by what it is."""
    if model.is_dir():
        with _output_folder(model, runtime or "host") as found:
            yield found
        return
    openers = {".pt": _checkpoint, ".onnx": _onnx, ".tflite": _tflite}
    opener = openers.get(model.suffix.lower())
    if opener is None:
        raise UsageError(f"{model} is of no known type; give a .pt, .onnx or .tflite file, or an output folder")
    if runtime is not None:
        raise UsageError(f"--runtime {runtime} is for output folders, which hold C; {model} is a file")
    with opener(model) as found:
        yield found


@contextmanager
def _checkpoint(model: Path) -> Iterator[Classifier]:
    require_torch()
    import torch

    from ..flynet.checkpoint import load_checkpoint
    from ..flynet.detection.detector_config import DetectorConfig

    network, metadata = load_checkpoint(model)
    config = metadata.config
    if isinstance(config, DetectorConfig):
        raise BadData(f"{model} is a detector; only classifiers can be evaluated")

    def scores(images: Floats) -> Scores:
        with torch.no_grad():
            found: Scores = network(torch.from_numpy(np.ascontiguousarray(images))).numpy()
        return found

    yield Classifier("torch, float", config.resolution, config.channels, config.classes, 64, scores, metadata.class_names)


@contextmanager
def _onnx(model: Path) -> Iterator[Classifier]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    content = _read(model)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise BadModel(f"onnxruntime cannot load {model}: {first_line(error)}") from error
    inputs, output = session.get_inputs(), session.get_outputs()[0]
    if [given.type for given in inputs] != ["tensor(float)"]:
        found = ", ".join(given.type for given in inputs) or "none"
        raise BadModel(f"{model} must have one float32 input of images; it has {found}")
    (given,) = inputs
    shape = list(given.shape)
    shape_nhwc = [1, *shape[2:], shape[1]] if len(shape) == 4 else shape
    resolution, channels = _square(model, shape_nhwc)
    classes = _classes(model, [1, *output.shape[1:]])

    def scores(images: Floats) -> Scores:
        try:
            found = [session.run([output.name], {given.name: image[None]})[0].reshape(classes) for image in images]
        except CANNOT_RUN as error:
            raise BadModel(f"onnxruntime cannot run {model} on one picture: {first_line(error)}") from error
        return np.stack(found)

    yield Classifier("onnxruntime", resolution, channels, classes, 16, scores)


@contextmanager
def _tflite(model: Path) -> Iterator[Classifier]:
    data, graph = open_tflite(model, model.stem)
    require_host_memory(graph)
    resolution, channels, classes = _facts(model, graph)
    tensor, output = graph.tensor(graph.inputs[0]), graph.outputs[0]
    with LiteRtOrTwin(graph, data) as litert:

        def scores(images: Floats) -> Scores:
            stored = quantize_images(images, tensor)
            return np.stack([litert.run({tensor.name: image.reshape(tensor.shape)})[output].reshape(-1) for image in stored])

        runtime = "LiteRT's reference kernels, int8"
        yield Classifier(runtime, resolution, channels, classes, 16, scores, remark=lambda: litert.remark, graph=graph)


@contextmanager
def _output_folder(folder: Path, runtime: str) -> Iterator[Classifier]:
    found = read_contents(folder)
    found.say_changed(Reporter())
    class_names, said = found.report.model.class_names, found.report.model.pixels
    pixels = None if said is None else Pixels(said.mean, said.std)
    graph, library = found.compiled.source_graph, found.compiled.library
    resolution, channels, classes = _facts(folder, graph)
    tensor, output = graph.tensor(graph.inputs[0]), graph.outputs[0]
    if runtime == "emulated":
        require_tools(Tool.EMULATOR)
        require_firmware(found)
        firmware = built_firmware(found)

        def emulated(images: Floats) -> Scores:
            sets = [{tensor.name: image} for image in quantize_images(images, tensor)]
            run = run_emulated(firmware, library, sets, trace=False, count=False, timeout_s=EMULATION_TIMEOUT_S)
            return np.stack([result.outputs[output].reshape(-1) for result in run.sets])

        yield Classifier(
            "generated C, emulated board", resolution, channels, classes, 32, emulated, class_names, graph=graph, pixels=pixels
        )
        return
    require_tools(Tool.HOST_COMPILER)
    with host_library(found) as host:

        def on_host(images: Floats) -> Scores:
            sets = [{tensor.name: image} for image in quantize_images(images, tensor)]
            return np.stack([result.outputs[output].reshape(-1) for result in host.run_many(sets, trace=False)])

        yield Classifier("generated C, host", resolution, channels, classes, 32, on_host, class_names, graph=graph, pixels=pixels)


def _facts(model: Path, graph: Graph) -> tuple[int, int, int]:
    if len(graph.inputs) != 1:
        raise BadModel(f"{model} has {len(graph.inputs)} inputs; one image is expected")
    resolution, channels = _square(model, list(graph.tensor(graph.inputs[0]).shape))
    return resolution, channels, _classes(model, list(graph.tensor(graph.outputs[0]).shape))


def _square(model: Path, shape: list[Any]) -> tuple[int, int]:
    """(side, channels) of an input [1, H, W, C] (sizes that are not numbers are symbolic)."""
    if len(shape) != 4 or not isinstance(shape[1], int) or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise BadModel(f"{model} takes {shape}, which is not a square grey or colour picture of a fixed size")
    return shape[1], shape[3]


def _classes(model: Path, shape: list[Any]) -> int:
    sizes = [size for size in shape if size != 1]
    if len(sizes) != 1 or not isinstance(sizes[0], int):
        raise BadModel(f"{model} gives {shape}, which is not a list of class scores")
    return sizes[0]


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, _MOST_ONNX_BYTES)
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror}") from error
