"""`train --data coco:DIR`, then `export --backbone`: from drawn pictures to four int8 maps, proven on the host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flynet_tiny.deploy.commands import export_network
from flynet_tiny.deploy.detecting import train_on_coco
from flynet_tiny.deploy.network import NetworkRequest
from flynet_tiny.deploy.training import TrainingRequest, train_network
from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.flynet.checkpoint import load_checkpoint
from flynet_tiny.flynet.networks import build_network

from ..flynet.coco_pictures import draw_coco

REQUEST = NetworkRequest(width=0.3, heads=1, resolution=32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector")
    data = draw_coco(folder / "coco", train=4, val=2)
    train_on_coco(f"coco:{data}", REQUEST, epochs=1, batch=2, out=folder / "detector.pt")
    return folder / "detector.pt"


def test_the_checkpoint_says_what_it_is(checkpoint: Path) -> None:
    _, metadata = load_checkpoint(checkpoint)
    assert metadata.config.name == "flynet-h1-0.3x-retinanet"
    assert metadata.class_names == ("square", "circle")
    assert 0 <= metadata.metrics["ap50"] <= 1


@pytest.mark.slow
def test_a_trained_backbone_is_exported_with_all_runtimes_equal(checkpoint: Path, tmp_path: Path) -> None:
    request = NetworkRequest(checkpoint=checkpoint, backbone=True)
    text = export_network(request, "stm32f412", tmp_path / "out", None, emulate=False, as_json=True, optimize="balanced")
    report = json.loads(text)
    assert report["model"]["name"] == "flynet-h1-0.3x-retinanet-backbone"
    assert len(report["model"]["outputs"]) == 4
    assert report["model"]["trained"] is True
    assert report["accuracy"] == {"not_done": "a backbone gives maps, no classes"}
    assert [pair["differing"] for pair in report["verification"]] == [0, 0]


def test_a_whole_detector_is_refused_before_the_work(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add --backbone"):
        request = NetworkRequest(checkpoint=checkpoint)
        export_network(request, "stm32f412", tmp_path / "out", None, emulate=False, as_json=True, optimize="balanced")
    assert not (tmp_path / "out").exists()


def test_a_classifier_of_another_shape_is_refused_as_a_start(checkpoint: Path, tmp_path: Path) -> None:
    data = f"coco:{checkpoint.parent / 'coco'}"
    with pytest.raises(UsageError, match="begins with a FlyNet"):
        train_on_coco(data, REQUEST, 1, 2, tmp_path / "d.pt", start=checkpoint)
    assert not list(tmp_path.iterdir())


def once(data: str, network: NetworkRequest, batch: int, out: Path, start: Path | None = None) -> None:
    """Train for one epoch."""
    train_network(TrainingRequest(data, network, out, epochs=1, batch=batch, start=start))


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


def test_bad_data_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="annotations"):
        train_on_coco(f"coco:{tmp_path / 'none'}", REQUEST, 1, 2, tmp_path / "d.pt")
    assert not list(tmp_path.iterdir())
