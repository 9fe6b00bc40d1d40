"""`compile` of float networks: the whole road with the judges on this machine, and each mistake in one line."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from flynet_tiny.api.commands import compile_model
from flynet_tiny.deploy.emulate_folder import emulate_folder
from flynet_tiny.deploy.request import DeploymentRequest, Emit, SourceRequest
from flynet_tiny.deploy.verify_folder import verify_folder
from flynet_tiny.errors import BadData, BadModel, UnsupportedOperators, UsageError
from flynet_tiny.flynet.data.pixels import Pixels
from flynet_tiny.learn.evaluating import EvaluationRequest, evaluate_model
from flynet_tiny.sources.preprocessing import Preprocessing
from flynet_tiny.sources.shapes import parse_shapes

from ..foreign_models import classifier, edited, with_external_weights
from ..small_models import mdw_max_out
from .conftest import CLASSES

SHAPES = {"x": (1, 3, 12, 12)}
SIGNED = Pixels((0.5,), (0.5, 0.25, 0.5))


def request(out: Path, **options: object) -> DeploymentRequest:
    return DeploymentRequest("stm32f412", out, emulate=False, as_json=True, **options)


@pytest.fixture(scope="module")
def deployed(place: Path) -> Path:
    how = Preprocessing(SIGNED, CLASSES)
    given = SourceRequest(place / "pictures", place / "pictures", how, SHAPES)
    compile_model(place / "net.onnx", request(place / "out"), given)
    return place / "out"


@pytest.fixture(scope="module")
def report(deployed: Path) -> dict:
    found: dict = json.loads((deployed / "report.json").read_text())
    return found


def test_every_tensor_of_an_onnx_network_is_equal_in_all_runtimes(report: dict) -> None:
    pairs = {pair["pair"]: pair for pair in report["verification"]}
    assert set(pairs) == {"onnxruntime = litert", "onnxruntime = C on the host"}
    assert all(pair["differing"] == 0 and pair["inputs"] == 19 for pair in pairs.values())


def test_the_report_says_what_the_network_is_and_what_it_was_told(report: dict) -> None:
    model = report["model"]
    assert (model["name"], model["trained"], model["resolution"], model["classes"]) == ("net", None, [12, 12, 3], 4)
    assert model["params"] == 8 * 3 * 9 + 8 + 4 * 8 + 4 + 2
    assert model["class_names"] == list(CLASSES)
    assert model["pixels"] == {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.25, 0.5]}
    assert min(layer["sqnr_db"] for layer in report["sqnr"]) > 20
    assert {"r1", "y"} <= {layer["tensor"] for layer in report["sqnr"]}


def test_float_and_int8_accuracy_are_of_the_users_pictures(report: dict, deployed: Path) -> None:
    accuracy = report["accuracy"]
    assert accuracy["images"] == 16
    assert accuracy["emulated"] is None
    session = onnxruntime.InferenceSession(deployed / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 12, 12]
    assert accuracy["float"] == pytest.approx(accuracy["int8"], abs=0.13)


def test_the_header_says_pixels_and_class_names_in_c(deployed: Path, tmp_path: Path) -> None:
    """The macros are what a program makes its input of: compiled and printed here."""
    header = (deployed / "net.h").read_text()
    assert "real = (byte / 255 - MEAN) / STD" in header
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "net.h"\n'
        "static const float mean[] = NET_INPUT0_MEAN, std[] = NET_INPUT0_STD;\n"
        "static const char *const names[NET_OUTPUT0_CLASSES] = NET_OUTPUT0_CLASS_NAMES;\n"
        'int main(void) { for (int i = 0; i < 3; i++) printf("%g %g\\n", mean[i], std[i]);\n'
        "  for (int i = 0; i < NET_OUTPUT0_CLASSES; i++) puts(names[i]);\n  return 0;\n}\n"
    )
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{deployed}"]
    subprocess.run(["gcc", *flags, "main.c", "-o", "main"], cwd=tmp_path, check=True, timeout=60)
    said = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60).stdout
    assert said.splitlines() == ["0.5 0.5", "0.5 0.25", "0.5 0.5", *CLASSES]


def test_the_folder_proves_itself_and_its_pixels_are_taken_from_then_on(deployed: Path, place: Path) -> None:
    assert "0 bytes differing" in verify_folder(deployed, 3, 5, emulate=False)
    text = evaluate_model(EvaluationRequest(deployed, str(place / "pictures"), as_json=True))
    assert json.loads(text)["pixels"] == {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.25, 0.5]}


def test_the_firmware_answers_to_a_picture_with_the_networks_own_pixels(deployed: Path, place: Path) -> None:
    picture = place / "pictures" / "cat" / "0.png"
    assert emulate_folder(deployed, picture, 4) == emulate_folder(deployed, picture, 4, SIGNED)
    assert emulate_folder(deployed, picture, 4) != emulate_folder(deployed, picture, 4, Pixels((0.0,), (1.0,)))


def test_several_inputs_are_calibrated_and_measured_by_name(place: Path) -> None:
    given = SourceRequest(place / "two.npz", place / "two.npz")
    report = json.loads(compile_model(place / "two.onnx", request(place / "two"), given))
    assert [port["name"] for port in report["model"]["input_ports"]] == ["map", "features"]
    assert all(pair["differing"] == 0 for pair in report["verification"])
    assert report["accuracy"]["images"] == 12
    assert abs(report["accuracy"]["float"] - report["accuracy"]["int8"]) < 0.2
    assert report["model"]["pixels"] is None
    assert "MEAN" not in (place / "two" / "two.h").read_text()


def test_an_int8_file_is_measured_too(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(mdw_max_out())
    shape = json.loads(compile_model(tmp_path / "net.tflite", request(tmp_path / "first")))["model"]["resolution"]
    values = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=values, labels=np.zeros(6, int))
    with pytest.raises(BadData, match="list of class scores"):
        compile_model(tmp_path / "net.tflite", request(tmp_path / "out"), SourceRequest(data=tmp_path / "data.npz"))


def test_emit_prints_c_and_writes_nothing(place: Path, tmp_path: Path) -> None:
    deployment = DeploymentRequest("stm32f412", emit=Emit.C)
    text = compile_model(place / "two.onnx", deployment, SourceRequest(place / "two.npz"))
    assert "int two_invoke(" in text


def test_without_calibration_it_says_what_is_wanted(place: Path) -> None:
    with pytest.raises(
        UsageError, match=re.escape("give --calibration, a folder of pictures, a .npz or a .npy (x [1, 3, 12, 12])")
    ):
        compile_model(place / "net.onnx", request(place / "no"), SourceRequest(shapes=SHAPES))
    assert not (place / "no").exists()


@pytest.mark.parametrize(
    ("model", "options", "error", "words"),
    [
        ("net.onnx", {}, BadModel, "net.onnx: input 'x' is [N, 3, H, W]: say its free axes with --input, as 1,3,H,W"),
        ("net.onnx", {"shapes": {"x": (1, 3, 12)}}, BadModel, "--input gives 3 axes"),
        ("net.onnx", {"shapes": SHAPES, "weights": Path("net.pt")}, UsageError, "--weights goes with FILE.py:FACTORY"),
        ("net.onnx", {"shapes": SHAPES, "calibration": "two.npz"}, BadData, "two.npz holds"),
        ("two.onnx", {"calibration": "pictures"}, BadData, "give a .npz with map, features"),
        ("none.onnx", {}, BadModel, "cannot read"),
        ("net.py", {}, UsageError, "net.py:make_net"),
        ("net.pt", {}, UsageError, "read as weights only; give the code that makes the network too: nets.py:make_net --weights"),
        ("net.tflite", {"calibration": "two.npz"}, UsageError, "--calibration is for float networks"),
    ],
)
def test_mistakes_are_one_line(place: Path, model: str, options: dict, error: type[Exception], words: str) -> None:
    given = {key: place / value if isinstance(value, str) else value for key, value in options.items()}
    if given.get("calibration") is None and model.endswith(".onnx"):
        given["calibration"] = place / "pictures"
    with pytest.raises(error, match=re.escape(words)) as refused:
        compile_model(place / model, request(place / "no"), SourceRequest(**given))
    assert "\n" not in str(refused.value)
    assert not (place / "no").exists()


def test_labels_must_be_as_many_as_scores(place: Path) -> None:
    given = SourceRequest(place / "pictures", how=Preprocessing(labels=("one", "two")), shapes=SHAPES)
    with pytest.raises(BadData, match="there are 2 labels; the network gives 4 scores"):
        compile_model(place / "net.onnx", request(place / "no"), given)


def test_all_unsupported_operators_are_named_at_once(place: Path) -> None:
    def break_two(model: object) -> None:
        model.graph.node[2].CopyFrom(helper.make_node("Hardmax", ["n1"], ["r1"], "/first/Hardmax"))
        model.graph.node[10].CopyFrom(helper.make_node("CumSum", ["scores", "first"], ["y"], "/last/CumSum"))

    (place / "odd.onnx").write_bytes(edited(classifier(), break_two).SerializeToString())
    with pytest.raises(UnsupportedOperators) as refused:
        compile_model(place / "odd.onnx", request(place / "no"), SourceRequest(place / "pictures", shapes=SHAPES))
    assert refused.value.exit_code == 4
    assert "/first/Hardmax" in str(refused.value)
    assert "/last/CumSum" in str(refused.value)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link", "sub/../../secret", "", "a\0b", "..\\secret"])
def test_weights_are_never_read_outside_of_the_models_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(4096))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "net.onnx").write_bytes(with_external_weights(classifier(), location))
    with pytest.raises(BadModel, match="own folder"):
        compile_model(tmp_path / "in" / "net.onnx", request(tmp_path / "no"), SourceRequest(tmp_path, shapes=SHAPES))


def test_weights_beside_the_model_are_read(tmp_path: Path, place: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(with_external_weights(classifier(), "net.onnx.data"))
    (tmp_path / "net.onnx.data").write_bytes(classifier().graph.initializer[0].raw_data)
    given = SourceRequest(place / "pictures", shapes=SHAPES)
    deployment = DeploymentRequest("stm32f412", emit=Emit.C)
    assert compile_model(tmp_path / "net.onnx", deployment, given) == compile_model(place / "net.onnx", deployment, given)


def test_shapes_as_the_command_line_has_them() -> None:
    assert parse_shapes(["1,3,96,96"]) == {"": (1, 3, 96, 96)}
    assert parse_shapes(["a=1,5", "b:0=1x3x8x8"]) == {"a": (1, 5), "b:0": (1, 3, 8, 8)}
    for wrong in (["1,three"], ["1,0"], ["1"] * 2, ["a=1,2", "1,2"], ["1,1,1,1,1,1,1"], [""]):
        with pytest.raises(UsageError, match="--input"):
            parse_shapes(wrong)
