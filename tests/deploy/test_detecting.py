"""`train --data coco:DIR`, then `export --backbone`: from drawn pictures to four int8 maps, proven on the host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flynet_tiny.deploy.commands import export_network
from flynet_tiny.deploy.detecting import train_on_coco
from flynet_tiny.deploy.network import NetworkRequest
from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.flynet.checkpoint import load_checkpoint

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


def test_bad_data_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="annotations"):
        train_on_coco(f"coco:{tmp_path / 'none'}", REQUEST, 1, 2, tmp_path / "d.pt")
    assert not list(tmp_path.iterdir())
