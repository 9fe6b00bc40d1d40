"""A FlyNet as a detector's backbone: shapes, weights, gradients, and training that finds drawn shapes."""

import copy
from dataclasses import astuple, replace

import pytest
import torch

from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.flynet.checkpoint import Metadata, load_checkpoint, save_checkpoint
from flynet_tiny.flynet.counts import count, count_params
from flynet_tiny.flynet.detection.backbone import STRIDES, FlyNetBackbone, FlyNetPyramid, backbone_of
from flynet_tiny.flynet.detection.coco import load_coco
from flynet_tiny.flynet.detection.detector import build_detector
from flynet_tiny.flynet.detection.detector_config import DetectorConfig
from flynet_tiny.flynet.networks.flynet import build
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.networks.presets import preset
from flynet_tiny.flynet.training.detection import evaluate_detector, train_detector
from flynet_tiny.flynet.training.precision import half_precision
from flynet_tiny.flynet.training.recipe import Optimizer, Schedule, paper_detection_recipe, small_detection_recipe
from flynet_tiny.flynet.training.settings import TrainingSettings
from flynet_tiny.flynet.training.state import TrainingState

from ..detection.coco_pictures import draw_coco

SMALL = FlyNetConfig(width=0.3, heads=2, resolution=64)


@pytest.mark.parametrize("side", [64, 61])
def test_the_backbone_gives_maps_at_strides_4_to_32(side):
    backbone = FlyNetBackbone(build(SMALL, 0)).eval()
    maps = backbone(torch.zeros(1, 3, side, side))
    assert list(maps) == ["0", "1", "2", "3"]
    sizes = [-(-side // stride) for stride in STRIDES]
    found = [tuple(features.shape[1:]) for features in maps.values()]
    assert found == [(c, s, s) for c, s in zip(backbone.feature_channels, sizes, strict=True)]


def test_the_backbone_is_the_papers_and_shares_the_networks_weights():
    """Table 4: 0.14 M parameters at 0.4x; the maps are the network's own."""
    config = preset("flynet-h3-0.4x").config
    assert count(config, backbone_of).params == 138_690
    network = build(SMALL, 0).eval()
    backbone = backbone_of(network)
    image = torch.randn(1, 3, 64, 64)
    last = list(backbone(image).values())[-1]
    assert torch.equal(network.head(last), network(image))
    assert count_params(backbone) == count_params(network) - count_params(network.head)


def test_the_pyramid_adds_coarse_maps_to_fine_ones():
    pyramid = FlyNetPyramid(FlyNetBackbone(build(SMALL, 0)), 16, first=1, extra=2).eval()
    maps = pyramid(torch.randn(1, 3, 64, 64))
    assert [tuple(features.shape[1:]) for features in maps.values()] == [(16, s, s) for s in (8, 4, 2, 1, 1)]
    assert pyramid.out_channels == 16
    maps["0"].sum().backward()
    assert all(lateral.weight.grad.abs().sum() > 0 for lateral in pyramid.lateral)
    assert pyramid.body.get_submodule("block11").project.conv.weight.grad.abs().sum() > 0


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = draw_coco(tmp_path_factory.mktemp("data") / "coco")
    return load_coco(root, "train"), load_coco(root, "val")


@pytest.fixture(scope="module")
def trained(drawn):
    config = DetectorConfig(SMALL, 2)
    return train_detector(config, *drawn, TrainingSettings(small_detection_recipe().changed(epochs=12)))


def test_training_finds_the_shapes(drawn, trained):
    model, metrics = trained
    assert metrics.ap50 > 0.7
    assert 0.3 < metrics.ap < metrics.ap50
    assert (metrics.ap, metrics.ap50, metrics.ap75) == astuple(evaluate_detector(model, drawn[1]))
    assert evaluate_detector(build_detector(model.config, 0), drawn[1]).ap50 < 0.2


def test_a_detector_comes_back_from_its_checkpoint(tmp_path, drawn, trained):
    model, _ = trained
    save_checkpoint(tmp_path / "d.pt", model, Metadata(model.config, {}, drawn[0].class_names, "coco:x"))
    loaded, metadata = load_checkpoint(tmp_path / "d.pt")
    assert metadata.config == DetectorConfig(SMALL, 2)
    assert evaluate_detector(loaded, drawn[1]) == evaluate_detector(model, drawn[1])
    assert count_params(backbone_of(loaded)) == count(SMALL, backbone_of).params


def test_a_pretrained_backbone_is_taken(drawn):
    network = build(SMALL, 5)
    recipe = replace(paper_detection_recipe(), epochs=1, batch=24, learning_rate=1e-12, weight_decay=0.0)
    model, _ = train_detector(DetectorConfig(SMALL, 2), *drawn, TrainingSettings(recipe, start=network))
    torch.testing.assert_close(model.pyramid.body.stem.conv.weight, network.stem.conv.weight)
    with pytest.raises(UsageError, match="the backbone flynet-h1"):
        train_detector(DetectorConfig(replace(SMALL, heads=1), 2), *drawn, TrainingSettings(recipe, start=network))


def test_the_learning_rate_falls_at_the_milestones(drawn):
    rates = []
    recipe = replace(small_detection_recipe(), epochs=3, batch=12, milestones=(1, 2))
    settings = TrainingSettings(recipe, on_epoch=lambda _, state: rates.append(state.history[-1]["learning_rate"]))
    train_detector(DetectorConfig(replace(SMALL, resolution=32), 2), *drawn, settings)
    assert rates == pytest.approx([2e-4, 2e-5, 2e-5])  # after an epoch: of the next one's first step


def test_a_resumed_detector_is_the_uninterrupted_one(drawn):
    config = DetectorConfig(replace(SMALL, resolution=32), 2)
    recipe = small_detection_recipe().changed(epochs=3, batch=6)
    kept = []

    def keep(model, state):
        kept.append((copy.deepcopy(model), TrainingState.from_dict(copy.deepcopy(state.as_dict()))))

    whole, metrics = train_detector(config, *drawn, TrainingSettings(recipe, on_epoch=keep))
    start, resume = kept[0]
    resumed, again = train_detector(config, *drawn, TrainingSettings(recipe, start=start, resume=resume, on_epoch=keep))
    assert again == metrics
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in whole.state_dict().items())
    *_, (_, last), (_, _), (_, last_again) = kept
    assert [epoch["loss"] for epoch in last_again.history] == [epoch["loss"] for epoch in last.history]


def test_a_detector_trains_in_mixed_precision(drawn):
    """On a processor that computes bfloat16; on any other in float32, and not in an emulation whose gradients are NaN."""
    config = DetectorConfig(replace(SMALL, resolution=32), 2)
    recipe = small_detection_recipe().changed(epochs=1, batch=12)
    exact, mixed = (train_detector(config, *drawn, TrainingSettings(recipe, mixed_precision=on))[1].loss for on in (False, True))
    assert mixed == pytest.approx(exact, rel=0.05)
    assert (mixed == exact) == (half_precision(torch.device("cpu")) is None)


def test_another_number_of_classes_is_refused(drawn):
    with pytest.raises(BadData, match="classes"):
        train_detector(DetectorConfig(SMALL, 3), *drawn, TrainingSettings(paper_detection_recipe()))


def test_the_papers_schedule():
    paper = paper_detection_recipe()
    assert (paper.epochs, paper.learning_rate, paper.milestones, paper.weight_decay) == (26, 2.5e-3, (16, 22), 4e-5)
    assert (paper.optimizer, paper.schedule, paper.momentum) == (Optimizer.SGD, Schedule.MILESTONES, 0.9)
    assert paper.changed(epochs=13).milestones == (8, 11)


def test_an_empty_picture_has_a_loss():
    model = build_detector(DetectorConfig(SMALL, 2), 0)
    nothing = [(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))] * 2
    loss, objects = model.loss(*model(torch.randn(2, 3, 64, 64)), nothing)
    loss.backward()
    assert torch.isfinite(loss)
    assert objects == 0
    assert all(parameter.grad is not None for parameter in model.parameters())  # several processes wait for each
