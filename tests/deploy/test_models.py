"""The list of networks: counts are made, sizes are measured, and figures of other sources are never shown as true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flynet_tiny.deploy import models
from flynet_tiny.deploy.models import Sizes, difference, list_models, measure, measure_models, models_table, sources_hash
from flynet_tiny.errors import OutputFailed, UsageError
from flynet_tiny.flynet.config import FlyNetConfig
from flynet_tiny.flynet.presets import PRESETS, Preset, Printed

FEW = {name: PRESETS[name] for name in ("flynet-h3-0.4x", "flynet-h1-0.5x", "flynet-h3-0.3x")}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three presets, and a store of figures that starts empty."""
    monkeypatch.setattr(models, "PRESETS", FEW)
    monkeypatch.setattr(models, "files", lambda package: tmp_path if package.endswith(".deploy") else real(package))
    real = models.files.__globals__["resources_files"] if "resources_files" in models.files.__globals__ else None
    return tmp_path / "data" / "models.json"


def keep(store: Path, name: str, sizes: Sizes, sources: str) -> None:
    store.parent.mkdir(exist_ok=True)
    store.write_text(
        json.dumps({name: {"flash_bytes": sizes.flash_bytes, "sram_bytes": sizes.sram_bytes, "sources": sources}})
    )
