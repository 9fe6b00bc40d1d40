"""A network from elsewhere, and what is said of it: quantized with the user's own inputs, or int8 as it came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..codegen.ir import Graph
from ..errors import BadData, UsageError
from ..quoting import ForeignText, visible
from ..sources.preprocessing import Preprocessing
from ..sources.sample_files import picture_shape, with_class_names
from ..sources.samples import Samples
from .console import Reporter
from .library_name import library_name
from .network import REAL_INPUTS, PreparedNetwork, Stored, quantize_values
from .quantized_model import LabelledInputs, QuantizedModel

if TYPE_CHECKING:
    from ..sources.float_source import FloatSource

Shape = tuple[int, ...]
MakeSamples = Callable[[Mapping[str, Shape]], Samples]  # by the shapes of the network's inputs


def quantize_source(
    source: FloatSource,
    calibration: MakeSamples | None,
    held_out: MakeSamples | None,
    how: Preprocessing,
    reporter: Reporter,
) -> QuantizedModel:
    """The int8 model of a float network.

    calibration  inputs from the distribution of use;  held_out  labelled ones for the accuracy
    Raises UsageError without calibration, BadData for inputs or labels that do not fit.
    """
    from ..export.tflite_export import require_lowerable
    from .quantizing import quantize_network

    graph = source.network.graph
    with reporter.step("network") as step:
        ends = " -> ".join(", ".join(str(list(graph.shapes[name])) for name in names) for names in (graph.inputs, graph.outputs))
        step.say(f"{ForeignText(source.title)}, {source.origin}: {ends}, {source.network.parameters:,} parameters")
    if calibration is None:
        takes = ", ".join(f"{ForeignText(name)} {list(shape)}" for name, shape in source.shapes.items())
        raise UsageError(
            f"{visible(source.title)} is a float network, whose int8 ranges are set by inputs as it will see them: give "
            f"--calibration, a folder of pictures, a .npz or a .npy ({takes})"
        )
    _require_classes(how, source.classes)
    require_lowerable(graph)  # before any picture is read
    with reporter.step("data") as step:
        calibrating = calibration(source.shapes)
        labelled = None if held_out is None else _with_labels(held_out(source.shapes), source.classes, how)
        are_pictures = calibrating.are_pictures or (labelled is not None and labelled.are_pictures)
        step.say(
            f"{len(calibrating):,} calibration inputs" + ("" if labelled is None else f", {len(labelled):,} labelled ones"),
            *([_ASSUMED] if are_pictures and how.pixels is None else []),
            *dict.fromkeys(remark for samples in (calibrating, labelled) if samples and (remark := samples.remark)),
        )
    channels = {picture[2] for shape in source.shapes.values() if (picture := picture_shape(shape)) is not None}
    is_known = len(channels) == 1 and (are_pictures or how.pixels is not None)
    network = PreparedNetwork(
        name=source.title,
        onnx=source.network.onnx,
        trained=None,
        params=source.network.parameters,
        calibration=calibrating,
        held_out=labelled,
        class_names=how.labels or (() if labelled is None else labelled.class_names),
        pixels=how.pixels_for(channels.pop()) if is_known else None,
    )
    return quantize_network(network, reporter)


_ASSUMED = "pictures are normalised as in our training (ImageNet's mean and deviation); --pixels says what the network wants"


def int8_model(tflite: bytes, graph: Graph, title: str, held_out: MakeSamples | None, how: Preprocessing) -> QuantizedModel:
    """An int8 `.tflite` as it is, with what is said of it."""
    shapes = {end.name.raw: graph.tensor(name).shape for name, end in zip(graph.inputs, graph.file_inputs, strict=True)}
    sizes = [size for size in graph.tensor(graph.outputs[0]).shape if size != 1]
    classes = sizes[0] if len(sizes) == 1 else 1 if not sizes else None
    _require_classes(how, classes)
    model = QuantizedModel(
        library_name(title), title, tflite, real_inputs=None, trained=None, class_names=how.labels, pixels=how.pixels
    )
    if held_out is None:
        return model
    samples = _with_labels(held_out(shapes), classes, how)
    assert samples.labels is not None
    stored: dict[str, Stored] = {
        name: quantize_values(values, graph.tensor(name))
        for name, values in zip(graph.inputs, samples.values.values(), strict=True)
    }
    real = {name: values[:REAL_INPUTS] for name, values in stored.items()}
    labelled = LabelledInputs(stored, samples.labels, None)
    return replace(model, real_inputs=real, labelled=labelled, class_names=samples.class_names or how.labels)


def _require_classes(how: Preprocessing, classes: int | None) -> None:
    if how.labels and len(how.labels) != classes:
        gives = "no list of scores" if classes is None else f"{classes} scores"
        raise BadData(f"there are {len(how.labels)} labels; the network gives {gives}")


def _with_labels(samples: Samples, classes: int | None, how: Preprocessing) -> Samples:
    if classes is None:
        raise BadData("accuracy is measured on a list of class scores, which the network does not give; leave --data out")
    found = with_class_names(samples, classes, how, "--data")
    assert found.labels is not None
    return replace(found, labels=np.ascontiguousarray(found.labels))
