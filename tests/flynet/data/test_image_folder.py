"""Streams decode what is asked for, alike for any number of threads and processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.errors import BadData
from flynet_tiny.flynet.data.image_folder import FolderStream
from flynet_tiny.flynet.data.images import folder

from .pictures import write_pictures


def test_whole_pictures_are_those_of_the_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    stream, loaded = FolderStream(tmp_path, 16, 3, "val"), folder(tmp_path, 16, 3, split="val")
    np.testing.assert_array_equal(np.concatenate([stream.part(0, 3), stream.part(3, 8)]), loaded.images)
    np.testing.assert_array_equal(stream.labels, loaded.labels)
    assert stream.class_names == loaded.class_names == ("bright", "dark")
    assert len(stream) == 8


def test_a_batch_does_not_depend_on_threads_or_on_who_asks(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    one, many = (FolderStream(tmp_path, 16, 1, "train", workers) for workers in (1, 4))
    chosen = np.array([7, 0, 19, 3])
    whole = one.training_batch(chosen, slice(None), seed=2, epoch=3)
    assert whole.shape == (4, 1, 16, 16)
    np.testing.assert_array_equal(many.training_batch(chosen, slice(None), seed=2, epoch=3), whole)
    np.testing.assert_array_equal(many.training_batch(chosen, slice(2, 4), seed=2, epoch=3), whole[2:])


def test_every_epoch_and_seed_crops_anew(tmp_path: Path) -> None:
    stream = FolderStream(write_pictures(tmp_path), 16, 3, "train")
    chosen = np.arange(4)
    first = stream.training_batch(chosen, slice(None), seed=0, epoch=1)
    assert not np.array_equal(first, stream.training_batch(chosen, slice(None), seed=0, epoch=2))
    assert not np.array_equal(first, stream.training_batch(chosen, slice(None), seed=1, epoch=1))


def test_a_corrupt_picture_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    bad = tmp_path / "train" / "dark" / "3.png"
    bad.write_bytes(bad.read_bytes()[:60])
    stream = FolderStream(tmp_path, 16, 3, "train")
    with pytest.raises(BadData, match=r"dark/3\.png"):
        stream.training_batch(np.arange(len(stream)), slice(None), 0, 1)


def test_pictures_without_classes_cannot_train(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    with pytest.raises(BadData, match="no class folders"):
        FolderStream(tmp_path / "train" / "dark", 16, 3, "train")
