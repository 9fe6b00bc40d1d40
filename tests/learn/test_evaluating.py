"""`flynet-tiny evaluate` on a tiny classifier in every form that it can have."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn

from flynet_tiny.api.commands import compile_model
from flynet_tiny.deploy.request import DeploymentRequest, SourceRequest
from flynet_tiny.errors import BadCheckpoint, BadData, BadModel, OutputFailed, UsageError
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.tflite_export import export_tflite
from flynet_tiny.flynet.checkpoint import Metadata, save_checkpoint
from flynet_tiny.flynet.data.images import normalise
from flynet_tiny.flynet.data.pixels import IMAGENET, Pixels, choose_pixels
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.register import build_network
from flynet_tiny.learn.evaluating import EvaluationRequest, evaluate_model
from flynet_tiny.sources.preprocessing import Preprocessing

CLASSES = ("blue", "green", "red", "white")
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0), "white": (255, 255, 255)}


class Colours(nn.Module):
    """Tells red, green, blue and white pictures apart by their mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        bgr = torch.tensor([[-1.0, -1, 2], [-1, 2, -1], [2, -1, -1], [0.7, 0.7, 0.7]])
        self.conv.weight.data = bgr.reshape(4, 3, 1, 1)
        self.conv.bias.data = torch.tensor([0.0, 0, 0, -1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).mean((2, 3))


def paint(root: Path) -> Path:
    """Three pictures of each class; one red picture is painted green."""
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for i in range(3):
            colour = COLOURS["green" if (name, i) == ("red", 2) else name]
            Image.new("RGB", (20 + i, 24), colour).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pictures/, net.onnx, net.tflite and out/ (compiled, without QEMU)."""
    root = tmp_path_factory.mktemp("evaluate")
    paint(root / "pictures")
    made = export_onnx(Colours().eval(), (1, 3, 8, 8))
    (root / "net.onnx").write_bytes(made)
    pixels = np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in COLOURS.values()])
    (root / "net.tflite").write_bytes(export_tflite(made, [normalise(pixels, 3)], name="net").tflite)
    compile_model(root / "net.tflite", DeploymentRequest("stm32f412", root / "out", emulate=False, as_json=True))
    return root


@pytest.mark.parametrize(
    ("model", "runtime", "says"),
    [
        ("net.onnx", None, "onnxruntime"),
        ("net.tflite", None, "LiteRT's reference kernels, int8"),
        ("out", None, "generated C, host"),
        ("out", "emulated", "generated C, emulated board"),
    ],
)
def test_every_form_finds_the_one_wrong_picture(folder: Path, model: str, runtime: str | None, says: str) -> None:
    found = json.loads(evaluate_model(EvaluationRequest(folder / model, str(folder / "pictures"), runtime, as_json=True)))
    assert found["runtime"] == says
    assert found["images"] == 12
    assert found["top1"] == pytest.approx(11 / 12)
    assert found["confusion"] == [[3, 0, 0, 0], [0, 3, 0, 0], [0, 1, 2, 0], [0, 0, 0, 3]]


def test_checkpoint_gives_what_torch_gives(tmp_path: Path) -> None:
    paint(tmp_path / "pictures")
    config = FlyNetConfig(width=0.3, resolution=32, classes=4)
    model = build_network(config, 0).eval()
    save_checkpoint(tmp_path / "net.pt", model, Metadata(config, {}, CLASSES, "pictures"))
    found = json.loads(evaluate_model(EvaluationRequest(tmp_path / "net.pt", str(tmp_path / "pictures"), as_json=True)))
    red = normalise(np.full((1, 32, 32, 3), COLOURS["blue"], np.uint8), 3)
    with torch.no_grad():
        expected = int(model(torch.from_numpy(red)).argmax())
    assert found["confusion"][0][expected] == 3
    save_checkpoint(tmp_path / "net.pt", model, Metadata(config, {}, ("blue", "green", "pink", "white"), "pictures"))
    with pytest.raises(BadData, match="class 2 is 'pink'"):
        evaluate_model(EvaluationRequest(tmp_path / "net.pt", str(tmp_path / "pictures"), as_json=True))


class Bright(nn.Module):
    """Counts on pixels of a certain range: the classes are dark, middle and bright, apart at 85 and 170 of 255."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.borders = [(border / 255 - mean) / std for border in (85, 170)]
        self.conv = nn.Conv2d(3, 3, 1)
        self.conv.weight.data = torch.tensor([-1.0, 0, 1]).reshape(3, 1, 1, 1).expand(3, 3, 1, 1) / 3
        self.conv.bias.data = torch.tensor([self.borders[0], 0.0, -self.borders[1]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).mean((2, 3))


def paint_greys(root: Path) -> Path:
    for name, grey in (("a-dark", 75), ("b-middle", 160), ("c-bright", 180)):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (20, 20), (grey, grey, grey)).save(root / name / "0.png")
    return root


@pytest.mark.parametrize(
    ("options", "mean", "std"),
    [
        (("unit", None, None), 0.0, 1.0),
        (("signed", None, None), 0.5, 0.5),
        (("raw", None, None), 0.0, 1 / 255),
        ((None, "0.3,0.3,0.3", "0.1,0.1,0.1"), 0.3, 0.1),
        ((None, "0.25", "0.2"), 0.25, 0.2),
    ],
)
def test_a_foreign_model_gets_the_pixels_that_it_wants(
    tmp_path: Path, options: tuple[str | None, str | None, str | None], mean: float, std: float
) -> None:
    pictures = paint_greys(tmp_path / "pictures")
    (tmp_path / "net.onnx").write_bytes(export_onnx(Bright(mean, std).eval(), (1, 3, 8, 8)))

    def ask(pixels: Pixels | None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            evaluate_model(EvaluationRequest(tmp_path / "net.onnx", str(pictures), pixels=pixels, as_json=True))
        )
        return found

    right = ask(choose_pixels(*options))
    assert right["top1"] == 1.0
    assert right["pixels"] == {"mean": pytest.approx([mean] * 3), "std": pytest.approx([std] * 3)}
    ours = ask(None)
    assert ours["top1"] < 1.0
    assert ours["pixels"]["mean"] == [0.485, 0.456, 0.406]


def test_folder_is_written_and_a_foreign_one_left_alone(folder: Path, tmp_path: Path) -> None:
    out, pictures = tmp_path / "accuracy", str(folder / "pictures")
    for _ in range(2):
        text = evaluate_model(EvaluationRequest(folder / "net.tflite", pictures, limit=4, out=out, as_json=True))
    assert {path.name for path in out.iterdir()} == {"evaluation.json", "confusion.svg", "manifest.json"}
    assert (out / "evaluation.json").read_text() == text
    assert json.loads(text)["images"] == 4
    with pytest.raises(OutputFailed, match="not ours"):
        evaluate_model(EvaluationRequest(folder / "net.tflite", pictures, out=folder / "out", as_json=True))
    assert (folder / "out" / "report.json").is_file()


def test_mistakes_are_named(folder: Path, tmp_path: Path) -> None:
    def ask(model: Path, data: Path | str, runtime: str | None = None) -> None:
        evaluate_model(EvaluationRequest(model, str(data), runtime, as_json=True))

    pictures, tflite = folder / "pictures", folder / "net.tflite"
    with pytest.raises(BadData, match="4 classes, digits holds 10"):
        ask(tflite, "digits")
    with pytest.raises(BadData, match="without labels"):
        ask(tflite, pictures / "red")
    with pytest.raises(UsageError, match="does not exist"):
        ask(tmp_path / "none.tflite", pictures)
    with pytest.raises(UsageError, match="--runtime emulated is for output folders"):
        ask(tflite, pictures, "emulated")
    with pytest.raises(UsageError, match="known type"):
        ask(folder / "pictures" / "red" / "0.png", pictures)
    with pytest.raises(BadData, match="not an output folder"):
        ask(pictures, pictures)
    with_four = export_onnx(Colours().eval(), (4, 3, 8, 8))
    (tmp_path / "four.onnx").write_bytes(with_four)
    with pytest.raises(BadModel, match=r"cannot run .*four\.onnx on one picture"):
        ask(tmp_path / "four.onnx", pictures)
    constant = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g () => (float[1, 4] y) {y = Constant<value_floats=[1., 1., 1., 1.]>()}'
    )
    (tmp_path / "constant.onnx").write_bytes(constant.SerializeToString())
    with pytest.raises(BadModel, match="one float32 input of images; it has none"):
        ask(tmp_path / "constant.onnx", pictures)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(BadModel, match="not a regular file"):
        ask(tmp_path / "pipe.onnx", pictures)
    (tmp_path / "oblong.onnx").write_bytes(export_onnx(Colours().eval(), (1, 3, 8, 12)))
    with pytest.raises(BadModel, match=r"\[1, 8, 12, 3\]"):
        ask(tmp_path / "oblong.onnx", pictures)
    for name, error in (("bad.onnx", BadModel), ("bad.tflite", BadModel), ("bad.pt", BadCheckpoint)):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(error):
            ask(tmp_path / name, pictures)
    others = SourceRequest(how=Preprocessing(labels=("blue", "green", "red", "yellow")))
    compile_model(tflite, DeploymentRequest("stm32f412", tmp_path / "named", emulate=False, as_json=True), others)
    with pytest.raises(BadData, match=r"class \d is '\w+' in .*named and '\w+' in"):
        ask(tmp_path / "named", pictures)
    shutil.copytree(folder / "out", tmp_path / "no-elf")
    (tmp_path / "no-elf" / "firmware" / "verify.elf").unlink()
    with pytest.raises(BadData, match=r"verify\.elf is missing; build it with: make -C") as missing:
        ask(tmp_path / "no-elf", pictures, "emulated")
    assert missing.value.exit_code == 3  # 6 says that numbers differ
    with pytest.raises(UsageError, match="trained here"):
        evaluate_model(EvaluationRequest(tmp_path / "bad.pt", str(pictures), pixels=IMAGENET, as_json=True))
