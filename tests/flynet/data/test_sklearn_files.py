"""scikit-learn's data sets without scikit-learn."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.errors import BadData, MissingExtra
from flynet_tiny.flynet.data import sklearn_files


def test_digits_and_photos_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits, load_sample_images

    images, labels = sklearn_files.digits_of_sklearn()
    expected = load_digits()
    assert np.array_equal(images, expected.images)
    assert np.array_equal(labels, expected.target)
    for found, photo in zip(sklearn_files.photos_of_sklearn(), load_sample_images().images, strict=True):
        assert np.array_equal(found, photo)


def test_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from flynet_tiny.flynet.data import images; images.digits(8, 1); images.photos(8, 3, 2);"
        "sys.exit('sklearn' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_it_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sklearn_files.digits_of_sklearn.cache_clear()
    monkeypatch.setattr(sklearn_files.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"scikit-learn.*flynet-tiny\[torch\]"):
        sklearn_files.digits_of_sklearn()
    spec = ModuleSpec("sklearn", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(sklearn_files.importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(BadData, match=r"digits\.csv\.gz is not there"):
        sklearn_files.digits_of_sklearn()
