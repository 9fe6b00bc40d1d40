"""An output folder as `compile` writes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flynet_tiny.api.commands import compile_model
from flynet_tiny.deploy.request import DeploymentRequest

from ..small_models import mdw_max_out


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("deployed")
    (root / "net.tflite").write_bytes(mdw_max_out())
    compile_model(root / "net.tflite", DeploymentRequest("stm32f405", root / "out", emulate=False, as_json=True))
    return root / "out"


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "out")
    return tmp_path / "out"
