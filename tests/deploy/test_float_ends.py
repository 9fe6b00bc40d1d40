"""A classifier with the converter's default ends, and odd ends, deployed: what is said, and that its labels are right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.api.commands import compile_model, print_report
from flynet_tiny.codegen import reference
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.deploy.emulate_folder import emulate_folder
from flynet_tiny.deploy.network import quantize_images
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.learn.classifiers import open_classifier

from ..converter_models import KINDS, Forms

SENTENCE = "input image, output shares: float32 in the file, int8 in the C, with scale and zero point in the header"
LEFT = "output shares: SOFTMAX behind it is left to the caller"


def classifier() -> bytes:
    """float32 [1, 8, 8, 3] to the float shares of 5 classes."""
    s = Forms(1)
    s.op("QUANTIZE", (s.plain("image", (1, 8, 8, 3)),), s.act("x", (1, 8, 8, 3), 0.02, 3))
    s.conv("x", s.act("maps", (1, 8, 8, 5), 0.2), 5)
    s.op("MEAN", ("maps", s.whole("axes", [1, 2])), s.act("scores", (1, 5), 0.1), keepDims=False)
    s.op("DEQUANTIZE", ("scores",), s.plain("real", (1, 5)))
    s.op("SOFTMAX", ("real",), s.plain("shares", (1, 5)), beta=1.0)
    return s.file(("image",), ("shares",))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("float_ends")
    (folder / "net.tflite").write_bytes(classifier())
    compile_model(folder / "net.tflite", DeploymentRequest("stm32f412", folder / "out", emulate=False))
    return folder


def test_emulate_names_the_output_as_the_file_and_the_header_do(compiled: Path) -> None:
    assert emulate_folder(compiled / "out", None, 2).splitlines()[0] == "shares: the 2 largest of 5, before SOFTMAX"


def test_the_header_says_how_to_quantize(compiled: Path) -> None:
    header = (compiled / "out" / "net.h").read_text()
    assert "/* image [1,8,8,3] */\n/* float32 in the model file: stored = round(real / SCALE) + ZERO_POINT" in header
    assert "/* shares [1,5] */\n/* float32 in the model file: real = SCALE * (stored - ZERO_POINT) */" in header
    assert "/* Left to the caller, behind this output: SOFTMAX */" in header
    assert "#define NET_INPUT0_ZERO_POINT (3)" in header


def test_report_and_verdict_say_it(compiled: Path) -> None:
    assert json.loads((compiled / "out" / "report.json").read_text())["model"]["notes"] == [SENTENCE, LEFT]
    text = print_report(compiled / "out", as_json=False)
    assert SENTENCE in text
    assert LEFT in text


def test_labelled_pictures_can_be_evaluated(compiled: Path) -> None:
    images = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32)
    graph = read_tflite(classifier())
    (name,), (output,) = graph.inputs, graph.outputs
    expected = [reference.run(graph, {name: i[None]})[output][0] for i in quantize_images(images, graph.tensor(name))]
    for path in (compiled / "net.tflite", compiled / "out"):
        with open_classifier(path, None) as found:
            assert (found.resolution, found.classes) == (8, 5)
            assert np.array_equal(found.scores(images), expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["odd_ends", "only_moves"])
def test_odd_ends_walk_the_whole_road(kind: str, tmp_path: Path) -> None:
    """On the emulated board too: constants, inputs and one tensor twice as outputs; no operator that computes."""
    (tmp_path / "net.tflite").write_bytes(KINDS[kind](1))
    text = compile_model(tmp_path / "net.tflite", DeploymentRequest("stm32f412", tmp_path / "out", as_json=True))
    report = json.loads(text)
    assert [pair["differing"] for pair in report["verification"]] == [0, 0, 0]
    graph = read_tflite(KINDS[kind](1))
    assert len(report["model"]["outputs"]) == len(graph.outputs)
    if kind == "odd_ends":
        assert "/* A constant: no input changes it. */" in (tmp_path / "out" / "net.h").read_text()
