"""Evaluation and noise of networks on which LiteRT ends its own process: every image counts, and it is said who computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.deploy.network import quantize_images
from flynet_tiny.deploy.quantizing import _measured_noise
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.sqnr import measure_sqnr
from flynet_tiny.export.tflite_export import export_tflite
from flynet_tiny.learn.classifiers import open_classifier
from flynet_tiny.sources.samples import Samples

from ..small_models import Sketch


def wide_classifier() -> bytes:
    """A picture of 14x14 in colour whose 588 values are the scores of as many classes."""
    s = Sketch()
    s.act("x", (1, 14, 14, 3), 0.02, 0)
    s.op("RESHAPE", ("x", s.const("row", [1, 588])), s.like("scores", "x", (1, 588)))
    s.op("SOFTMAX", ("scores",), s.act("y", (1, 588), 1 / 256, -128), beta=1.0)
    return s.file(("x",), ("y",))


def test_an_image_on_which_litert_ends_is_scored_by_the_twin_and_the_evaluation_says_so(tmp_path: Path) -> None:
    model = wide_classifier()
    (tmp_path / "wide.tflite").write_bytes(model)
    graph = read_tflite(model)
    images = np.random.default_rng(0).normal(0, 1, (3, 3, 14, 14)).astype(np.float32)
    images[1] = 0.5  # flat
    with open_classifier(tmp_path / "wide.tflite", None) as classifier:
        assert classifier.remark() == ""
        scores = classifier.scores(images)
        assert "1 inputs by the golden twin in onnxruntime (LiteRT aborts in" in classifier.remark()
    for stored, found in zip(quantize_images(images, graph.tensor("x")), scores, strict=True):
        assert np.array_equal(reference.run(graph, {"x": stored.reshape(1, 14, 14, 3)})["y"].reshape(-1), found)


class Flat(nn.Module):
    """600 classes of which none stands out."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Conv2d(3, 600, 1)
        with torch.no_grad():
            self.scores.weight.mul_(1e-3)
            self.scores.bias.mul_(1e-3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.scores(images).mean((2, 3)), 1)


def test_noise_is_measured_where_litert_ends_its_process() -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(1).normal(0, 1, (2, 3, 4, 4)).astype(np.float32)
    result = export_tflite(export_onnx(Flat().eval(), (1, 3, 4, 4)), [images], name="flat")
    noise, remark = _measured_noise(result, Samples({"input": images}))
    assert "2 inputs by the golden twin" in remark
    graph = read_tflite(result.tflite)
    names = {tensor.source_index: tensor.name for tensor in graph.activations()}

    def run(given: Sequence[np.ndarray], indices: tuple[int, ...]) -> list[np.ndarray]:
        values = reference.run(graph, {graph.inputs[0]: given[0]})
        return [values[names[index]] for index in indices]

    assert noise == measure_sqnr(result, [images], run)
