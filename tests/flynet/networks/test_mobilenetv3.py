"""MobileNetV3-Small: the published parameter counts, shapes, and what its configuration refuses."""

from __future__ import annotations

import pytest
import torch

from flynet_tiny.errors import UsageError
from flynet_tiny.flynet.counts import count
from flynet_tiny.flynet.networks.mobilenetv3_config import MobileNetV3Config
from flynet_tiny.flynet.register import build_network, config_from_dict, config_to_dict


def test_the_published_network_has_its_parameters_to_the_last() -> None:
    """2,542,856: torchvision's documentation of mobilenet_v3_small; 56 M MACs: the paper's table 4."""
    counts = count(MobileNetV3Config())
    assert counts.params == 2_542_856
    assert round(counts.macs / 1e6) in (56, 57)


@pytest.mark.parametrize(("width", "params_m"), [(0.35, 1.4), (0.5, 1.6)])
def test_narrow_networks_have_the_parameters_that_the_paper_prints(width: float, params_m: float) -> None:
    assert abs(count(MobileNetV3Config(width)).params / 1e6 - params_m) < 0.1


def test_it_runs_forward_and_backward_and_travels_as_plain_values() -> None:
    config = MobileNetV3Config(0.35, resolution=32, classes=7, channels=1)
    model = build_network(config, 1)
    images = torch.randn(2, 1, 32, 32)
    logits = model(images)
    assert logits.shape == (2, 7)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert config_from_dict(config_to_dict(config)) == config
    assert config_to_dict(config)["network"] == "mobilenetv3-small"


@pytest.mark.parametrize("options", [{"width": 0.0}, {"resolution": 4}, {"classes": 1}, {"channels": 2}])
def test_what_cannot_be_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        MobileNetV3Config(**options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown"):
        MobileNetV3Config.from_dict({"heads": 3})
