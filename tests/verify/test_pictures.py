"""Drawn pictures: the same everywhere, over all of int8, each unlike the others."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from flynet_tiny.codegen.ir import DType, Tensor
from flynet_tiny.deploy.network import inputs_for_any_model
from flynet_tiny.verify.pictures import drawn_pictures


def test_the_same_numbers_on_every_machine() -> None:
    found = hashlib.sha256(drawn_pictures(4, 40, 32, 3, 7).tobytes()).hexdigest()
    assert found == "a7cea86aef87399dd17a1bed59e274fe62c159f961a9e7e1f589fc900baa8d99"


@pytest.mark.parametrize("shape", [(8, 8, 3), (24, 16, 1), (96, 96, 3), (49, 10, 1), (8, 3000, 1)])
def test_they_use_all_of_int8_and_differ(shape: tuple[int, int, int]) -> None:
    found = drawn_pictures(6, *shape, seed=1)
    assert found.shape == (6, *shape)
    assert found.dtype == np.int8
    assert (int(found.min()), int(found.max())) == (-128, 127)
    assert len(np.unique(found)) > 60
    assert len({picture.tobytes() for picture in found}) == 6
    assert all(picture.std() > 10 for picture in found.astype(float))
    assert not np.array_equal(found, drawn_pictures(6, *shape, seed=2))
    if shape[2] == 3:
        assert not np.array_equal(found[..., 0], found[..., 1])


def test_they_have_edges_and_smooth_places() -> None:
    steps = np.abs(np.diff(drawn_pictures(8, 96, 96, 3, 0).astype(int), axis=2))
    assert np.median(steps) < 16
    assert np.quantile(steps, 0.99) > 30


def tensor(*shape: int) -> Tensor:
    return Tensor("input", shape, DType.INT8)


def test_a_picture_is_drawn_for_what_takes_pictures_alone() -> None:
    assert np.array_equal(inputs_for_any_model(tensor(1, 24, 16, 3), 3, 5), drawn_pictures(3, 24, 16, 3, 5))
    for shape in ((1, 24, 16, 2), (1, 640), (1, 4, 16, 3), (24, 16)):
        noise = inputs_for_any_model(tensor(*shape), 3, 5)
        assert noise.shape == (3, *(shape[1:] if shape[0] == 1 else shape))
        assert len(np.unique(noise)) > 50


def test_no_library_of_pictures_is_needed() -> None:
    code = (
        "import sys; from flynet_tiny.verify.pictures import drawn_pictures; drawn_pictures(1, 8, 8, 3, 0);"
        "sys.exit(any(name in sys.modules for name in ('PIL', 'sklearn', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
