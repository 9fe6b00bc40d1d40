"""`train --data coco:DIR`, then `export --backbone`: from drawn pictures to four int8 maps, proven on the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flynet_tiny.api.commands import export_network
from flynet_tiny.deploy.console import Step
from flynet_tiny.deploy.network import NetworkRequest
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.errors import BadCheckpoint, BadData, Interrupted, UsageError
from flynet_tiny.flynet.checkpoint import load_checkpoint
from flynet_tiny.flynet.register import build_network
from flynet_tiny.learn.request import RecipeRequest, TeacherRequest, TrainingRequest
from flynet_tiny.learn.training import train_network

from ..flynet.detection.coco_pictures import draw_coco

REQUEST = NetworkRequest(width=0.3, heads=1, resolution=32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector")
    data = draw_coco(folder / "coco", train=4, val=2)
    once(f"coco:{data}", REQUEST, 2, folder / "detector.pt")
    return folder / "detector.pt"


def test_the_checkpoint_says_what_it_is(checkpoint: Path) -> None:
    _, metadata = load_checkpoint(checkpoint)
    assert metadata.config.name == "flynet-h1-0.3x-retinanet"
    assert metadata.class_names == ("square", "circle")
    assert 0 <= metadata.metrics["ap"] <= metadata.metrics["ap50"] <= 1
    (line,) = checkpoint.with_suffix(".jsonl").read_text().splitlines()
    assert {"epoch", "loss", "skipped_steps", "ap", "ap50", "ap75", "learning_rate", "images_per_s"} == set(json.loads(line))
    assert "AP50" in checkpoint.with_suffix(".svg").read_text()
    assert not checkpoint.with_name("detector.pt.resume").exists()


@pytest.mark.slow
def test_a_trained_backbone_is_exported_with_all_runtimes_equal(checkpoint: Path, tmp_path: Path) -> None:
    request = NetworkRequest(checkpoint=checkpoint, backbone=True)
    text = export_network(request, DeploymentRequest("stm32f412", tmp_path / "out", emulate=False, as_json=True))
    report = json.loads(text)
    assert report["model"]["name"] == "flynet-h1-0.3x-retinanet-backbone"
    assert len(report["model"]["outputs"]) == 4
    assert report["model"]["trained"] is True
    assert report["accuracy"] == {"not_done": "a backbone gives maps, no classes"}
    assert [pair["differing"] for pair in report["verification"]] == [0, 0]


def test_a_whole_detector_is_refused_before_the_work(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add --backbone"):
        request = NetworkRequest(checkpoint=checkpoint)
        export_network(request, DeploymentRequest("stm32f412", tmp_path / "out", emulate=False, as_json=True))
    assert not (tmp_path / "out").exists()


def test_a_classifier_of_another_shape_is_refused_as_a_start(checkpoint: Path, tmp_path: Path) -> None:
    data = f"coco:{checkpoint.parent / 'coco'}"
    with pytest.raises(UsageError, match="has heads 1, the network to train 2"):
        once(data, replace(REQUEST, heads=2), 2, tmp_path / "d.pt", checkpoint)
    with pytest.raises(UsageError, match="FlyNet's backbone"):
        once(data, NetworkRequest(model="mobilenetv3-small-0.35x", resolution=32), 2, tmp_path / "d.pt")
    with pytest.raises(UsageError, match="--teacher is for classifiers"):
        train_network(TrainingRequest(data, REQUEST, tmp_path / "d.pt", teacher=TeacherRequest("torchvision:resnet18")))
    assert not list(tmp_path.iterdir())


def once(data: str, network: NetworkRequest, batch: int, out: Path, start: Path | None = None) -> None:
    """Train for one epoch."""
    train_network(TrainingRequest(data, network, out, RecipeRequest(epochs=1, batch=batch), start=start))


def test_training_begins_with_a_given_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    """A classifier's weights go on training; its backbone begins a detector; another network's weights are refused."""
    request = NetworkRequest(width=0.3, heads=1, resolution=16, channels=1)
    once("digits", request, 512, tmp_path / "first.pt")
    first, _ = load_checkpoint(tmp_path / "first.pt")
    once("digits", request, 512, tmp_path / "second.pt", tmp_path / "first.pt")
    second, metadata = load_checkpoint(tmp_path / "second.pt")
    fresh = build_network(metadata.config, 0)

    def distance(other: torch.nn.Module) -> float:
        pairs = zip(second.parameters(), other.parameters(), strict=True)
        return sum(float((one - two).detach().square().sum()) for one, two in pairs)

    assert 0 < distance(first) < distance(fresh)
    with pytest.raises(UsageError, match="heads 1, the network to train 2"):
        once("digits", replace(request, heads=2), 512, tmp_path / "x.pt", tmp_path / "first.pt")
    grey = replace(request, resolution=32)
    once(f"coco:{checkpoint.parent / 'coco'}", grey, 4, tmp_path / "d.pt", tmp_path / "first.pt")
    assert load_checkpoint(tmp_path / "d.pt")[1].config.channels == 1
    with pytest.raises(UsageError, match="not the network asked for"):
        once(f"coco:{checkpoint.parent / 'coco'}", REQUEST, 4, tmp_path / "x.pt", tmp_path / "first.pt")
    assert not (tmp_path / "x.pt").exists()


def history(out: Path) -> list[dict[str, float]]:
    epochs = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
    return [{key: value for key, value in epoch.items() if key != "images_per_s"} for epoch in epochs]


def test_a_stopped_detector_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = draw_coco(tmp_path / "coco", train=8, val=3)
    recipe = RecipeRequest(epochs=3, batch=4)
    whole, stopped = (TrainingRequest(f"coco:{data}", REQUEST, tmp_path / name, recipe) for name in ("w.pt", "s.pt"))
    train_network(whole)

    def stop(_: Step, done: int, total: int, text: str = "") -> None:
        if done == 4 and "pictures" not in text:  # in the last step of the second epoch, not when pictures are looked at
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Step, "progress", stop)
        with pytest.raises(Interrupted, match=r"in epoch 2; what was reached before it is kept.*--resume"):
            train_network(stopped)
    assert history(stopped.out) == history(whole.out)[:1]
    assert not stopped.out.exists()
    with pytest.raises(BadCheckpoint, match="another recipe"):
        train_network(replace(stopped, resume=True, recipe=replace(recipe, learning_rate=1e-5)))
    write_other_names(data, "ball")
    with pytest.raises(BadData, match="other classes"):
        train_network(replace(stopped, resume=True))
    write_other_names(data, "circle")
    train_network(replace(stopped, resume=True))
    assert history(stopped.out) == history(whole.out)
    found, expected = (load_checkpoint(request.out)[0].state_dict() for request in (stopped, whole))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def write_other_names(data: Path, name: str) -> None:
    for file in (data / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"][0]["name"] = name
        file.write_text(json.dumps(content))


@pytest.mark.slow
def test_two_processes_train_the_detector_that_one_does(tmp_path: Path) -> None:
    """Pictures without objects: the processes' shares hold different numbers of them, and the loss counts all."""
    data = draw_coco(tmp_path / "coco", train=8, val=3)
    file = data / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"] = [one for one in content["annotations"] if one["id"] % 3 == 0]
    file.write_text(json.dumps(content))

    def command(out: str) -> list[str]:
        network = ("--width", "0.3", "--heads", "1", "--resolution", "64", "--channels", "1")
        options = (
            "--epochs",
            "1",
            "--batch",
            "4",
            "--lr",
            "1e-4",
            "--recipe",
            "small",
            "--start-from",
            str(tmp_path / "begin.pt"),
        )
        return ["-m", "flynet_tiny.cli", "train", "--data", f"coco:{data}", *network, *options, "--out", str(tmp_path / out)]

    once(f"coco:{data}", NetworkRequest(width=0.3, heads=1, resolution=64, channels=1), 4, tmp_path / "begin.pt")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for told in (command("alone.pt"), [*torchrun, *command("together.pt")]):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, *told], capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stderr
    (one,), (two,) = history(tmp_path / "alone.pt"), history(tmp_path / "together.pt")
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
    found, expected = (load_checkpoint(tmp_path / name)[0].state_dict() for name in ("together.pt", "alone.pt"))
    for name in expected:
        if expected[name].is_floating_point() and "running" not in name:
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=2.5e-4)  # two steps of Adam at 1e-4


def test_bad_data_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="annotations"):
        once(f"coco:{tmp_path / 'none'}", REQUEST, 2, tmp_path / "d.pt")
    assert not list(tmp_path.iterdir())
