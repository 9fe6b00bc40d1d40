"""A network with dead channels on its way to a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flynet_tiny.api.commands import compile_model, print_report
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.deploy.verify_folder import verify_folder

from ..codegen.minimise.dead_channels import separable_file

LINE = "4 of 16 channels never change; 66.7% of the multiply-accumulates and 70.0% of the parameters' bytes stay"


def deploy(folder: Path, minimise: bool, emulate: bool) -> dict:
    model = folder / "net.tflite"
    model.write_bytes(separable_file())
    request = DeploymentRequest("stm32f412", folder / "out", emulate=emulate, as_json=True, minimise=minimise)
    found: dict = json.loads(compile_model(model, request))
    return found


@pytest.fixture(scope="module")
def minimised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("minimised")
    return folder / "out", deploy(folder, minimise=True, emulate=True)


def test_all_judges_compare_the_channels_that_went(minimised: tuple[Path, dict]) -> None:
    pairs = minimised[1]["verification"]
    assert [pair["differing"] for pair in pairs] == [0, 0, 0]
    assert len({pair["bytes"] for pair in pairs}) == len({pair["tensors"] for pair in pairs}) == 1


def test_the_certificate_is_in_the_report(minimised: tuple[Path, dict]) -> None:
    found = minimised[1]["minimisation"]
    assert (found["channels"], found["constant"], found["unread"]) == (16, 4, 0)
    assert [(tensor["name"], tensor["constant"], tensor["values"]) for tensor in found["tensors"]] == [
        (name, [1, 4], [-128, -128]) for name in "ab"
    ]
    assert found["tensors"][0]["sums"] == [[-500_000, -500_000]] * 2
    assert found["macs"] < found["macs_as_read"] == minimised[1]["model"]["macs"]
    assert found["macs"] == sum(layer["macs"] for layer in minimised[1]["layers"])


def test_text_and_page_say_what_went(minimised: tuple[Path, dict]) -> None:
    assert LINE in print_report(minimised[0], as_json=False)
    page = (minimised[0] / "report.html").read_text()
    assert "4 of 16 channels never change" in page
    assert "1: -128 [-500000 .. -500000]; 4: -128 [-500000 .. -500000]" in page


def test_the_folder_is_proven_again(minimised: tuple[Path, dict]) -> None:
    assert verify_folder(minimised[0], 2, 1, emulate=True).count(" 0 bytes differing") == 3


def test_the_graph_as_it_came_is_kept_on_demand(minimised: tuple[Path, dict], tmp_path: Path) -> None:
    report = deploy(tmp_path, minimise=False, emulate=False)
    assert report["minimisation"] == {"not_done": "--no-minimise"}
    assert report["flash"]["weights_bytes"] > minimised[1]["flash"]["weights_bytes"]
    assert "--no-minimise" in (tmp_path / "out" / "net.c").read_text()
    assert verify_folder(tmp_path / "out", 2, 1, emulate=False).count(" 0 bytes differing") == 2
