"""Names of classes and files that mean to act: they train, are kept as they are, and are shown harmless and short."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from flynet_tiny.cli import main
from flynet_tiny.deploy.network import NetworkRequest
from flynet_tiny.errors import BadData
from flynet_tiny.flynet.checkpoint import Metadata, load_checkpoint, save_checkpoint
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.register import build_network
from flynet_tiny.learn.evaluating import EvaluationRequest, evaluate_model
from flynet_tiny.learn.request import RecipeRequest, TrainingRequest
from flynet_tiny.learn.training import train_network
from flynet_tiny.report.evaluation import Evaluation, confusion_svg, evaluation_json, evaluation_text
from flynet_tiny.report.schema import ModelFacts

from ..flynet.detection.coco_pictures import draw_coco

FOLDERS = (
    "\x1b[31mred\x1b]0;title\x07",
    "new\nline\rreturn\ttab",
    "<script>alert(1)<",
    "\u202egnp.exe\u2069",
    os.fsdecode(b"caf\xe9"),  # not UTF-8: half a character to Python
    "a" * 200,
    "\"' & {{ 7 * 7 }} %s %n",
    "\x7f\x85\u2028\u200b",
)
NAMES = (*FOLDERS, "*/ system(); /*", "nul\x00", "]]>", "b" * 5000, "../../etc/passwd", "\ud800\udfff"[::-1])


def harmless(text: str, longest: int = 250) -> bool:
    hidden = {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Co"}}
    return hidden <= {"\n"} and max(map(len, text.splitlines()), default=0) <= longest


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for label, name in enumerate(FOLDERS):
            (root / split / name).mkdir(parents=True)
            for file in ("\x1b[2J.png", "b\n.png"):
                pixels = (random.integers(0, 60, (12, 12, 3)) + 25 * label).astype(np.uint8)
                with (root / split / name / file).open("wb") as stream:
                    Image.fromarray(pixels).save(stream, "png")
    return root


@pytest.fixture(scope="module")
def checkpoint(pictures: Path) -> Path:
    network = NetworkRequest(width=0.3, heads=1, resolution=8, channels=1)
    out = pictures / "net.pt"
    train_network(TrainingRequest(str(pictures), network, out, RecipeRequest("small", epochs=1, batch=8)))
    return out


def test_a_training_keeps_the_names_as_they_are(checkpoint: Path) -> None:
    assert load_checkpoint(checkpoint)[1].class_names == tuple(sorted(FOLDERS))
    ElementTree.fromstring(checkpoint.with_suffix(".svg").read_text())
    json.loads(checkpoint.with_suffix(".jsonl").read_text().splitlines()[0])


def test_an_evaluation_shows_them_harmless(pictures: Path, checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = pictures / "accuracy"
    with pytest.raises(SystemExit) as done:
        main(["evaluate", str(checkpoint), "--data", str(pictures), "--out", str(out)])
    printed = capfd.readouterr()
    assert done.value.code == 0, printed.err
    assert harmless(printed.out)
    assert harmless(printed.err)
    rows = [line for line in printed.out.splitlines() if " of 2" in line]
    assert len(rows) == len(FOLDERS)
    assert {row.index("% of 2") for row in rows} == {rows[0].index("% of 2")}  # in one column, however long the name
    found = json.loads((out / "evaluation.json").read_text())
    assert [one["name"] for one in found["per_class"]] == sorted(FOLDERS)
    check_svg((out / "confusion.svg").read_text())


def check_svg(text: str) -> None:
    assert "<script" not in text
    assert harmless(text, 1000)
    root = ElementTree.fromstring(text)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "rect", "text", "line", "polyline"}
    assert all(len(element.text or "") < 200 for element in root.iter())


def test_a_picture_that_breaks_is_named_harmlessly(
    pictures: Path, checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "\x1b[31m\n\u202e.png").write_bytes(b"")
    with pytest.raises(SystemExit) as done:
        main(["evaluate", str(checkpoint), "--data", str(tmp_path)])
    said = capfd.readouterr().err
    assert done.value.code == 3
    assert harmless(said, 600)
    assert said.count("\n") == 1
    assert "it is empty" in said


def test_every_output_of_an_evaluation_takes_every_name() -> None:
    count = len(NAMES)
    confusion = np.ones((count, count), np.int64)
    found = Evaluation("\x1b[31m" + "m" * 5000, "torch", "\u202e" + "d" * 5000, NAMES, confusion, count, {"mean": [0.5]})
    assert harmless(evaluation_text(found))
    check_svg(confusion_svg(found))
    text = evaluation_json(found)
    assert text.isascii()
    assert tuple(one["name"] for one in json.loads(text)["per_class"]) == NAMES
    facts = ModelFacts("net", 1, 1, (8, 8, 1), count, True, "", 1, ((1,),), NAMES)
    assert tuple(json.loads(json.dumps(vars(facts)))["class_names"]) == NAMES


def test_classes_that_differ_are_named_harmlessly(pictures: Path, tmp_path: Path) -> None:
    config = FlyNetConfig(width=0.3, heads=1, resolution=8, channels=1, classes=len(FOLDERS))
    for name in NAMES:
        save_checkpoint(tmp_path / "x.pt", build_network(config, 0), Metadata(config, {}, (name,) * len(FOLDERS), "\x1b"))
        assert load_checkpoint(tmp_path / "x.pt")[1].class_names == (name,) * len(FOLDERS)
        with pytest.raises(BadData) as error:
            evaluate_model(EvaluationRequest(tmp_path / "x.pt", str(pictures), as_json=True))
        assert harmless(str(error.value), 400 + len(str(pictures)))
        assert "\n" not in str(error.value)


def test_a_detectors_categories_may_be_anything(tmp_path: Path) -> None:
    data = draw_coco(tmp_path / "coco", train=4, val=2)
    for file in (data / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"][0]["name"], content["categories"][1]["name"] = "c" * 5000, "\x1b[31m\ud800<script>"
        file.write_text(json.dumps(content))
    network = NetworkRequest(width=0.3, heads=1, resolution=32)
    train_network(TrainingRequest(f"coco:{data}", network, tmp_path / "d.pt", RecipeRequest(epochs=1, batch=4)))
    assert load_checkpoint(tmp_path / "d.pt")[1].class_names == ("\x1b[31m\ud800<script>", "c" * 5000)


def test_names_of_one_split_alone_are_shown_harmless(tmp_path: Path) -> None:
    for split, names in (("train", ("a", "\x1b[31m" + "n" * 200)), ("val", ("a", "b"))):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("L", (8, 8)).save(tmp_path / split / name / "x.png")
    with pytest.raises(BadData, match=r"must hold the same classes; '\\x1b\[31mn") as error:
        train_network(TrainingRequest(str(tmp_path), NetworkRequest(width=0.3, resolution=8), tmp_path / "x.pt"))
    assert harmless(str(error.value))
