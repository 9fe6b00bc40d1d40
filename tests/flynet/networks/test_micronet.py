"""MicroNet: the released networks' parameter and MAC counts, Dynamic Shift-Max by its definition, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flynet_tiny.errors import UsageError
from flynet_tiny.flynet.counts import count
from flynet_tiny.flynet.networks.micronet import ChannelShuffle, DynamicShiftMax
from flynet_tiny.flynet.networks.micronet_config import MICRO_TABLES, MicroNetConfig
from flynet_tiny.flynet.register import build_network, config_from_dict, config_to_dict

# of the released networks: parameters, multiply-accumulates of the layers, and with those of the dynamic coefficients
RELEASED = {
    "m0": (1_019_590, 3_448_880, 4_054_128),
    "m1": (1_777_587, 5_314_080, 6_120_032),
    "m2": (2_393_876, 10_338_128, 12_743_440),
    "m3": (2_622_960, 18_236_000, 20_807_520),
}


@pytest.mark.parametrize("variant", MICRO_TABLES)
def test_counts_are_those_of_the_released_networks(variant: str) -> None:
    counts = count(MicroNetConfig(variant))
    assert (counts.params, counts.macs, counts.macs + counts.dynamic_macs) == RELEASED[variant]


@pytest.mark.parametrize("variant", ["m0", "m3"])
def test_it_runs_forward_and_backward_and_travels_as_plain_values(variant: str) -> None:
    config = MicroNetConfig(variant, resolution=32, classes=7, channels=1)
    model = build_network(config, 1)
    logits = model(torch.randn(2, 1, 32, 32))
    assert logits.shape == (2, 7)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert config_from_dict(config_to_dict(config)) == config
    assert config_to_dict(config)["network"] == "micronet"


def test_a_shuffle_takes_one_channel_of_each_group_in_turn() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert ChannelShuffle(2)(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_dynamic_shift_max_is_its_definition() -> None:
    torch.manual_seed(0)
    layer = DynamicShiftMax(6, 2, 1, ((1.0, 0.0), (0.5, 0.5)))
    for linear in layer.coefficients:
        linear.weight.data.normal_(std=3.0)  # far enough for both ends of the hard sigmoid
    x = torch.randn(2, 6, 3, 3)
    with torch.no_grad():
        squeezed = torch.relu(layer.reduce(x.mean((2, 3))))
        theta = [(torch.clamp(linear(squeezed) / 6 + 0.5, 0, 1) - 0.5) * 4 for linear in layer.coefficients]
        assert {-2.0, 2.0} <= {float(bound) for part in theta for bound in (part.min(), part.max())}
        neighbour = [4, 5, 3, 1, 2, 0]  # channel i of group g: channel i + 1 of group g + 1
        wanted = np.full(x.shape, -np.inf)
        for k, (own, other) in enumerate(((1.0, 0.0), (0.5, 0.5))):
            a, b = (theta[2 * k] + own)[:, :, None, None], (theta[2 * k + 1] + other)[:, :, None, None]
            wanted = np.maximum(wanted, (a * x + b * x[:, neighbour]).numpy())
        np.testing.assert_allclose(layer(x).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("options", [{"variant": "m4"}, {"resolution": 4}, {"classes": 1}, {"channels": 2}])
def test_what_cannot_be_is_refused(options: dict[str, int | str]) -> None:
    with pytest.raises(UsageError):
        MicroNetConfig(**options)
    with pytest.raises(UsageError, match="unknown"):
        MicroNetConfig.from_dict({"width": 1.0})
