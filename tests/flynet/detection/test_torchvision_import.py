"""The backbone in torchvision's detectors.

PyPI's torchvision is compiled for torch's CUDA build. Beside the CPU build its operators do not load; the one that the detectors
need, non-maximum suppression, then is ours. Everything else is torchvision as it is.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

import pytest
import torch

from flynet_tiny.errors import MismatchedTool, MissingTool
from flynet_tiny.flynet.detection.backbone import FlyNetBackbone
from flynet_tiny.flynet.detection.boxes import suppress
from flynet_tiny.flynet.detection.detector import torchvision_detector
from flynet_tiny.flynet.detection.torchvision_import import _install
from flynet_tiny.flynet.networks.flynet import build
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig

SMALL = FlyNetConfig(width=0.3, heads=2, resolution=64)
OURS = torch.library.Library("torchvision", "FRAGMENT")  # lives as long as its operators


@pytest.fixture
def loaded_torchvision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # "operator torchvision::nms does not exist"
        for name in ("nms", "qnms"):  # the two for which torchvision registers shapes without looking
            OURS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        OURS.impl("nms", suppress, "CPU")
        importlib.import_module("torchvision")
    if not sys.modules["torchvision.extension"]._has_ops():
        monkeypatch.setattr("torchvision.ops.boxes._assert_has_ops", lambda: None)
    with torch.compiler.set_stance("force_eager"):  # torchvision's plain roi_align would compile itself
        yield


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torchvision's
@pytest.mark.usefixtures("loaded_torchvision")
@pytest.mark.parametrize("kind", ["faster-rcnn", "retinanet"])
def test_the_backbone_serves_torchvisions_detectors(kind: str) -> None:
    backbone = FlyNetBackbone(build(SMALL, 0))
    detector = torchvision_detector(kind, backbone, 3, 32, min_size=64, max_size=64)
    images = [torch.rand(3, 64, 64), torch.rand(3, 64, 64)]
    target = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]), "labels": torch.tensor([1])}
    losses = detector(images, [target, target])
    sum(losses.values()).backward()
    gradient = backbone.stem.conv.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    assert set(detector.eval()(images)[0]) == {"boxes", "scores", "labels"}


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("operator torchvision::nms does not exist"),
        ImportError("libcudart.so.13: cannot open shared object file"),
        AttributeError("module 'torch' has no attribute 'thing'"),
        ModuleNotFoundError("No module named 'torch._other'", name="torch._other"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_torchvision_for_another_torch_is_said_to_be_that(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(name: str) -> None:
        raise error

    monkeypatch.setattr("flynet_tiny.flynet.detection.torchvision_import.importlib.import_module", fails)
    with pytest.raises(MismatchedTool) as said:
        torchvision_detector("retinanet", FlyNetBackbone(build(SMALL, 0)), 3)
    message = str(said.value)
    assert message.startswith("torchvision ")
    assert f"does not match torch {torch.__version__} ({error}); install" in message
    assert "not installed" not in message
    assert "--index-url https://download.pytorch.org/whl/cpu" in _install("2.13.0+cpu")
    assert "--index-url" not in _install("2.13.0")


def test_without_torchvision_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingTool, match=r"torchvision is not installed; .*detection"):
        torchvision_detector("retinanet", FlyNetBackbone(build(SMALL, 0)), 3)
