"""A stranger's float network with the inputs and labels that go with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..foreign_models import classifier, two_inputs

CLASSES = ("cat", "dog", 'a "quoted" \\ name', "owl")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("foreign")
    random = np.random.default_rng(0)
    (root / "net.onnx").write_bytes(classifier().SerializeToString())
    (root / "two.onnx").write_bytes(two_inputs().SerializeToString())
    values = {"map": random.normal(size=(12, 2, 8, 8)), "features": random.normal(size=(12, 5))}
    np.savez(root / "two.npz", **values, labels=random.integers(0, 6, 12))
    for index, name in enumerate(CLASSES):
        (root / "pictures" / name).mkdir(parents=True)
        for number in range(4):
            shade = random.integers(40 * index, 100 + 40 * index, (14, 20, 3), np.uint8)
            Image.fromarray(shade).save(root / "pictures" / name / f"{number}.png")
    (root / "names.txt").write_text("\n".join(CLASSES))
    return root
