"""Published networks: the parameters and MACs that their sources print, their shapes, and what their configuration refuses."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from flynet_tiny.errors import UsageError
from flynet_tiny.flynet.counts import count
from flynet_tiny.flynet.networks.presets import PRESETS, preset
from flynet_tiny.flynet.networks.published.config import NETWORKS, PublishedConfig
from flynet_tiny.flynet.register import build_network, config_from_dict, config_to_dict

# torchvision's documentation (MobileNetV2, V3-Large, EfficientNet-B0, ShuffleNet V2, SqueezeNet 1.1); of the others the counts of
# their authors' releases, which the papers print rounded
PARAMETERS = {
    "mobilenetv1-1x": 4_231_976,
    "mobilenetv2-1x": 3_504_872,
    "mobilenetv3-large-1x": 5_483_032,
    "mobilenetv4-conv-small-1x": 3_774_024,
    "efficientnet-b0-1x": 5_288_548,
    "efficientnet-lite0-1x": 4_652_008,
    "rexnet-1x": 4_796_873,
    "mixnet-s-1x": 4_134_606,
    "shufflenetv2-0.5x": 1_366_792,
    "shufflenetv2-1x": 2_278_604,
    "squeezenet-1x": 1_235_496,
    "repvgg-a0-1x": 9_108_968,
}
PUBLISHED = {name: found for name, found in PRESETS.items() if isinstance(found.config, PublishedConfig)}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_of_the_release_to_the_last(name: str) -> None:
    assert count(preset(name).config).params == PARAMETERS[name]


@pytest.mark.parametrize("name", [name for name, found in PUBLISHED.items() if found.printed])
def test_counts_are_about_the_printed_ones(name: str) -> None:
    """Papers round, and count a squeeze or the classifier or not."""
    (row,), counts = PUBLISHED[name].printed, count(PUBLISHED[name].config)
    if row.params_m is not None:
        assert abs(counts.params / 1e6 - row.params_m) < 0.03 * row.params_m + 0.05
    if row.madds_m is not None and name != "mobileone-s0-1x":  # which prints them merged
        assert abs(counts.macs / 1e6 - row.madds_m) < 0.08 * row.madds_m


def test_every_network_has_a_preset() -> None:
    assert {found.config.architecture for found in PUBLISHED.values()} == set(NETWORKS)
    assert preset("rexnet-0.45x").config == PublishedConfig("rexnet", 0.45)


@pytest.mark.parametrize("network", NETWORKS)
def test_it_runs_forward_and_backward_and_travels_as_plain_values(network: str) -> None:
    width = min(NETWORKS[network].widths, default=0.2)
    config = PublishedConfig(network, width, resolution=32, classes=7, channels=1)
    model = build_network(config, 1)
    logits = model(torch.randn(2, 1, 32, 32))
    assert logits.shape == (2, 7)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert config_from_dict(config_to_dict(config)) == config


def test_rexnets_channels_grow_by_the_rule_of_its_search() -> None:
    blocks = build_network(PublishedConfig("rexnet", 1.0, 32, 10), 0).blocks
    outs = [block.out for block in blocks if hasattr(block, "out")]
    steps = {b - a for a, b in pairwise(outs)}
    assert (outs[0], outs[-1], len(outs)) == (16, 185, 16)
    assert steps == {11, 12}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"architecture": "resnet"}, "unknown published network 'resnet'"),
        ({"architecture": "shufflenetv2", "width": 0.7}, "widths 0.5, 1, 1.5, 2"),
        ({"width": 0.0}, "width"),
        ({"resolution": 4}, "resolution"),
        ({"classes": 1}, "classes"),
        ({"channels": 2}, "channels"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, float | str], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        PublishedConfig(**options)  # type: ignore[arg-type]
