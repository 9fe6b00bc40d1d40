"""`export --qat-epochs`: what is learned reaches the file and the report, and what cannot be learned from is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from flynet_tiny.codegen.targets import get_target
from flynet_tiny.deploy.console import Reporter
from flynet_tiny.deploy.network import NetworkRequest, PreparedNetwork
from flynet_tiny.deploy.quantizing import quantize_network
from flynet_tiny.deploy.road import walk
from flynet_tiny.deploy.subject import Plan
from flynet_tiny.deploy.verdict import format_report
from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.flynet.config import FlyNetConfig
from flynet_tiny.flynet.data import ImageSet, digits


@pytest.fixture(scope="module")
def network() -> PreparedNetwork:
    """An untrained classifier of digits: fine-tuning by the labels alone must make it a good one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10)).eval()
    train, held_out = digits(8, 1)
    config = FlyNetConfig(resolution=8, classes=10, channels=1)
    onnx = export_onnx(model, (1, 1, 8, 8))
    return PreparedNetwork("net", config, onnx, True, 1, train, held_out, qat_epochs=3, distillation=0.0)


def test_learned_weights_reach_the_file_and_the_report(network: PreparedNetwork, tmp_path: Path) -> None:
    reporter = Reporter(quiet=True)
    subject = quantize_network(network, reporter)
    facts = subject.fine_tuning
    assert facts is not None
    assert (facts.epochs, facts.images, facts.distillation) == (3, 1347, 0.0)
    assert facts.int8_before is not None
    assert facts.float_accuracy is not None
    assert facts.simulated is not None
    assert abs(facts.int8_before - facts.float_accuracy) < 0.05
    assert facts.simulated > facts.int8_before + 0.2
    assert (facts.argmax_agreement, facts.differing_share, facts.max_lsb) == (1.0, 0.0, 0)
    verdict = walk(subject, Plan(get_target("stm32f412"), emulate=False), tmp_path, reporter)
    report = json.loads(verdict.report.to_json())
    assert report["accuracy"]["int8"] == facts.simulated
    assert report["fine_tuning"]["int8_before"] == facts.int8_before
    assert "fine-tuning changed the weights" in report["sqnr"]["not_done"]
    text = format_report(report)
    assert f"int8 before {100 * facts.int8_before:.2f} %" in text
    assert "argmax agrees" in text


def test_without_epochs_nothing_is_said(network: PreparedNetwork) -> None:
    subject = quantize_network(replace(network, qat_epochs=0), Reporter(quiet=True))
    assert subject.fine_tuning is None
    assert isinstance(subject.sqnr, tuple)


def test_images_without_labels_or_of_other_classes_are_refused(network: PreparedNetwork) -> None:
    images = np.asarray(network.calibration.images)
    with pytest.raises(BadData, match="labelled"):
        quantize_network(replace(network, calibration=ImageSet(images, None)), Reporter(quiet=True))
    three = ImageSet(images, np.zeros(len(images), np.int64), ("a", "b", "c"))
    with pytest.raises(BadData, match="3 classes, the checkpoint 10"):
        quantize_network(replace(network, calibration=three), Reporter(quiet=True))
    names = tuple(reversed(network.calibration.class_names))
    with pytest.raises(BadData, match="class '9' is '0' in the calibration images"):
        quantize_network(replace(network, class_names=names), Reporter(quiet=True))


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
