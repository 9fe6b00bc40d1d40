"""`export --qat-epochs`: what is learned reaches the file and the report, and what cannot be learned from is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from flynet_tiny.codegen.targets import get_target
from flynet_tiny.deploy import finetuning
from flynet_tiny.deploy.console import Reporter
from flynet_tiny.deploy.finetuning import batches
from flynet_tiny.deploy.network import NetworkRequest, PreparedNetwork, training_images
from flynet_tiny.deploy.pipeline import deploy_model
from flynet_tiny.deploy.quantized_model import DeploymentPlan
from flynet_tiny.deploy.quantizing import quantize_network
from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.flynet.data.image_folder import FolderStream
from flynet_tiny.flynet.data.images import ImageSet, digits
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.training.classification import LabelledImages
from flynet_tiny.learn.classifiers import open_classifier
from flynet_tiny.report.read_report import read_report
from flynet_tiny.report.schema import Accuracy, NotDone
from flynet_tiny.report.text import format_report
from flynet_tiny.sources.samples import Samples


@pytest.fixture(scope="module")
def network() -> PreparedNetwork:
    """An untrained classifier of digits: fine-tuning by the labels alone must make it a good one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10)).eval()
    train, held_out = digits(8, 1)
    onnx = export_onnx(model, (1, 1, 8, 8))
    calibration, measured = Samples.of_images(train), Samples.of_images(held_out)
    return PreparedNetwork("net", onnx, True, 1, calibration, measured, False, 3, train, 0.0, class_names=train.class_names)


def test_learned_weights_reach_the_file_and_the_report(network: PreparedNetwork, tmp_path: Path) -> None:
    reporter = Reporter(quiet=True)
    model = quantize_network(network, reporter)
    facts = model.fine_tuning
    assert facts is not None
    assert (facts.epochs, facts.images, facts.distillation) == (3, 1347, 0.0)
    assert facts.int8_before is not None
    assert facts.float_before is not None
    assert facts.simulated is not None
    assert abs(facts.int8_before - facts.float_before) < 0.05
    assert facts.simulated > facts.int8_before + 0.1
    assert (facts.argmax_agreement, facts.differing_share, facts.max_lsb) == (1.0, 0.0, 0)
    deploy_model(model, DeploymentPlan(get_target("stm32f412"), emulate=False), tmp_path, reporter)
    report = read_report((tmp_path / "report.json").read_bytes(), "report.json")
    assert isinstance(report.accuracy, Accuracy)
    assert report.accuracy.int8 == facts.simulated
    assert report.fine_tuning == facts
    assert report.model.class_names == tuple(str(digit) for digit in range(10))
    losses = [epoch.loss for epoch in facts.curve]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert not isinstance(report.sqnr, NotDone)
    assert report.sqnr[-1].sqnr_db > 15
    page = (tmp_path / "report.html").read_text()
    assert f"{losses[1]:.4f}" in page
    assert f"{100 * facts.simulated:.2f} %" in page
    text = format_report(report)
    assert f"before: float {100 * facts.float_before:.2f} %, int8 {100 * facts.int8_before:.2f} %" in text
    assert "argmax agrees" in text


def test_without_epochs_nothing_is_said(network: PreparedNetwork) -> None:
    model = quantize_network(replace(network, qat_epochs=0), Reporter(quiet=True))
    assert model.fine_tuning is None
    assert isinstance(model.sqnr, tuple)


def test_model_onnx_is_the_fine_tuned_network(network: PreparedNetwork, tmp_path: Path) -> None:
    model = quantize_network(network, Reporter(quiet=True))
    held_out = network.held_out
    assert model.labelled is not None
    assert model.fine_tuning is not None
    assert model.onnx is not None
    assert held_out is not None
    (tmp_path / "model.onnx").write_bytes(model.onnx)
    with open_classifier(tmp_path / "model.onnx", None) as classifier:
        accuracy = float(np.mean(classifier.scores(held_out.only).argmax(1) == held_out.labels))
    assert accuracy == model.labelled.float_accuracy
    assert accuracy > (model.fine_tuning.float_before or 1) + 0.1


def test_images_without_labels_are_refused(network: PreparedNetwork) -> None:
    unlabelled = ImageSet(np.asarray(network.calibration.only), None)
    with pytest.raises(BadData, match="labelled"):
        quantize_network(replace(network, training=unlabelled), Reporter(quiet=True))


def pictures(folder: Path, *classes: str, count: int = 3) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in classes:
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return folder


def learned_from(place: Path, *class_names: str) -> LabelledImages | None:
    config = FlyNetConfig(width=0.3, resolution=32, classes=2)
    return training_images(NetworkRequest(qat_epochs=1, calibration=str(place)), config, class_names)


def test_folder_is_streamed_in_an_order_of_each_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "BATCH", 3)
    training = learned_from(pictures(tmp_path, "cat", "dog", count=4), "cat", "dog")
    assert isinstance(training, FolderStream)
    found = list(batches(training, 0, 1))
    assert [len(labels) for _, labels in found] == [3, 3, 2]
    assert sorted(np.concatenate([labels for _, labels in found])) == [0, 0, 0, 0, 1, 1, 1, 1]
    again = list(batches(training, 0, 1))
    assert all(np.array_equal(one[0], other[0]) for one, other in zip(found, again, strict=True))
    assert not np.array_equal(found[0][0], next(iter(batches(training, 0, 2)))[0])


def test_pictures_of_other_classes_or_of_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"cat has no class folders"):
        learned_from(pictures(tmp_path / "flat", "cat") / "train" / "cat", "cat", "dog")
    with pytest.raises(BadData, match="3 classes, the checkpoint 2"):
        learned_from(pictures(tmp_path / "three", "cat", "dog", "owl"), "cat", "dog")
    with pytest.raises(BadData, match="class 'dog' is 'emu' in the calibration images"):
        learned_from(pictures(tmp_path / "others", "cat", "emu"), "cat", "dog")


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (NetworkRequest(qat_epochs=1, calibration="digits"), "--checkpoint"),
        (NetworkRequest(qat_epochs=1, calibration="photos", checkpoint=Path("x.pt")), "--calibration"),
        (NetworkRequest(qat_epochs=1, calibration="digits", checkpoint=Path("x.pt"), backbone=True), "--backbone"),
    ],
)
def test_requests_that_cannot_be_meant_are_refused(request_: NetworkRequest, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        request_.require_trainable()
