"""Published networks on the whole road: int8, C, all judges, on a small picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flynet_tiny.api.commands import export_network
from flynet_tiny.deploy.network import NetworkRequest
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.flynet.networks.published.config import NETWORKS

_ALWAYS = ("shufflenetv2", "mobileone-s0")  # shuffled halves; merged branches


@pytest.mark.parametrize(
    "network", [name if name in _ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_a_published_network_is_the_same_on_all_judges(tmp_path: Path, network: str) -> None:
    width = min(NETWORKS[network].widths, default=0.25)
    request = NetworkRequest(model=f"{network}-{width:g}x", resolution=32, classes=5)
    emulate = network not in _ALWAYS
    text = export_network(request, DeploymentRequest("stm32h743", tmp_path / "out", emulate=emulate, as_json=True))
    report = json.loads(text)
    assert [pair["differing"] for pair in report["verification"]] == [0] * (3 if emulate else 2)
