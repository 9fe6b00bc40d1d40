"""A network with int16 activations goes the whole road: compiled, proven in four runtimes, verified and emulated again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from flynet_tiny.deploy.commands import compile_model
from flynet_tiny.deploy.emulate_folder import emulate_folder
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.deploy.verify_folder import verify_folder

from ..int16_models import small_network


def test_a_network_on_int16_is_proven_on_every_runtime(tmp_path: Path) -> None:
    model, out = tmp_path / "net.tflite", tmp_path / "out"
    model.write_bytes(small_network())
    report = json.loads(compile_model(model, DeploymentRequest("stm32f412", out, as_json=True)))
    pairs = {p["pair"]: p for p in report["verification"]}
    assert set(pairs) == {"onnxruntime = litert", "onnxruntime = C on the host", "onnxruntime = emulated board"}
    assert all(p["differing"] == 0 and p["bytes"] > 0 for p in pairs.values())
    assert "int16x8 inference" in (out / "net.h").read_text()
    assert "int16_t *net_input" in (out / "net.h").read_text()
    assert "differing" in verify_folder(out, 1, 0, emulate=True)
    np.save(tmp_path / "x.npy", np.full((1, 12, 12, 3), 1000, np.int16))
    assert "(int16 " in emulate_folder(out, tmp_path / "x.npy", 3)
