"""Pictures and arrays as a network's inputs; whatever does not fit is one line with the file's name."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flynet_tiny.errors import BadData
from flynet_tiny.flynet.data.images import centre_crop, normalise
from flynet_tiny.flynet.data.pixels import Pixels
from flynet_tiny.sources.preprocessing import Preprocessing, read_labels
from flynet_tiny.sources.sample_files import of_arrays, read_samples, with_class_names

SIGNED = Preprocessing(Pixels((0.5,), (0.5,)))
MAP = {"x": (1, 3, 8, 6)}
VECTOR = {"x": (1, 5)}
RANDOM = np.random.default_rng(0)


def pictures(root: Path, classes: int = 2, count: int = 3) -> np.ndarray:
    made = RANDOM.integers(0, 256, (classes, count, 20, 15, 3), np.uint8)
    for label in range(classes):
        folder = root / f"class{label}"
        folder.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(made[label, index]).save(folder / f"{index}.png")
    return made


def test_pictures_are_cropped_and_normalised_and_labelled_by_their_folders(tmp_path: Path) -> None:
    made = pictures(tmp_path / "data")
    found = read_samples(tmp_path / "data", MAP, SIGNED)
    assert found.values["x"].shape == (6, 3, 8, 6)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.class_names == ("class0", "class1")
    crop = centre_crop(Image.fromarray(made[1, 2]), 8, 6)
    np.testing.assert_array_equal(found.values["x"][5], crop.transpose(2, 0, 1).astype(np.float32) / 255 * 2 - 1)


def test_pictures_of_a_network_that_takes_channels_last(tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    first = read_samples(tmp_path / "data", MAP, SIGNED).values["x"]
    last = read_samples(tmp_path / "data", {"x": (1, 8, 6, 3)}, SIGNED).values["x"]
    np.testing.assert_array_equal(last, first.transpose(0, 2, 3, 1))


def test_of_a_large_folder_some_are_taken_evenly_and_its_split(tmp_path: Path) -> None:
    pictures(tmp_path / "data" / "val", classes=2, count=4)
    pictures(tmp_path / "data" / "train", classes=2, count=1)
    found = read_samples(tmp_path / "data", MAP, SIGNED, split="val", most_pictures=4)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1, 1]


def test_floats_are_taken_as_they_are_and_bytes_as_pictures(tmp_path: Path) -> None:
    floats = RANDOM.normal(size=(4, 3, 8, 6)).astype(np.float32)
    np.save(tmp_path / "f.npy", floats)
    np.testing.assert_array_equal(read_samples(tmp_path / "f.npy", MAP, SIGNED).values["x"], floats)
    pixels = RANDOM.integers(0, 256, (4, 8, 6, 3), np.uint8)
    np.save(tmp_path / "u.npy", pixels)
    expected = normalise(pixels, 3, SIGNED.pixels)
    np.testing.assert_array_equal(read_samples(tmp_path / "u.npy", MAP, SIGNED).values["x"], expected)
    np.save(tmp_path / "u.npy", pixels.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(read_samples(tmp_path / "u.npy", MAP, SIGNED).values["x"], expected)


def test_an_array_is_found_by_the_inputs_name_and_the_labels_by_theirs(tmp_path: Path) -> None:
    a, b, labels = RANDOM.normal(size=(4, 5)), RANDOM.normal(size=(4, 7)), np.array([0, 1, 2, 1])
    np.savez(tmp_path / "two.npz", a=a, b=b, labels=labels)
    found = read_samples(tmp_path / "two.npz", {"b": (1, 7), "a": (1, 5)}, Preprocessing())
    np.testing.assert_array_equal(found.values["a"], a.astype(np.float32))
    assert list(found.values) == ["b", "a"]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2, 1]
    np.savez_compressed(tmp_path / "one.npz", whatever=np.asfortranarray(a))
    np.testing.assert_array_equal(read_samples(tmp_path / "one.npz", VECTOR, Preprocessing()).only, a.astype(np.float32))


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 6), np.float32), r"is \[4, 6\], the network takes \[N, 5\]"),
        (np.zeros((0, 5), np.float32), "empty"),
        (np.full((2, 5), np.nan), "NaN"),
        (np.zeros((2, 5), np.complex64), "complex64; give numbers"),
        (np.array([{"a": 1}], dtype=object), "Python objects, which are never loaded"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, array: np.ndarray, words: str) -> None:
    with pytest.raises(BadData, match=words) as refused:
        read_samples(saved(tmp_path / "x.npy", array), VECTOR, Preprocessing())
    assert "x.npy" in str(refused.value)


def test_a_picture_with_its_axes_turned_is_told_so() -> None:
    with pytest.raises(BadData, match=r"turn its axes with np.transpose"):
        of_arrays({"x": np.zeros((2, 8, 6, 3), np.float32)}, MAP, SIGNED)


def test_files_that_lie_about_their_size_or_are_none(tmp_path: Path) -> None:
    head = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 5), }"
    (tmp_path / "huge.npy").write_bytes(head % 10**12 + b" " * 60 + b"\n")
    with pytest.raises(BadData, match=r"huge\.npy"):
        read_samples(tmp_path / "huge.npy", VECTOR, Preprocessing())
    (tmp_path / "text.npz").write_bytes(b"no zip")
    with pytest.raises(BadData, match=r"text.npz is not a .npz"):
        read_samples(tmp_path / "text.npz", VECTOR, Preprocessing())
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00")
    with pytest.raises(BadData, match=r"odd.npz is not a .npz"):
        read_samples(tmp_path / "odd.npz", VECTOR, Preprocessing())
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((4, 5)))
    (tmp_path / "short.npy").write_bytes(buffer.getvalue()[:-8])
    with pytest.raises(BadData, match=r"short\.npy"):
        read_samples(tmp_path / "short.npy", VECTOR, Preprocessing())
    with pytest.raises(BadData, match="nowhere does not exist"):
        read_samples(tmp_path / "nowhere", VECTOR, Preprocessing())


def test_arrays_of_other_names_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros((4, 5)), b=np.zeros((4, 7)))
    with pytest.raises(BadData, match="holds a, b; the network's inputs are a, c"):
        read_samples(tmp_path / "two.npz", {"a": (1, 5), "c": (1, 7)}, Preprocessing())
    np.save(tmp_path / "one.npy", np.zeros((4, 5)))
    with pytest.raises(BadData, match=r"give a .npz with a, c"):
        read_samples(tmp_path / "one.npy", {"a": (1, 5), "c": (1, 7)}, Preprocessing())
    pictures(tmp_path / "data")
    with pytest.raises(BadData, match=r"holds pictures, the network takes x \[1, 5\]"):
        read_samples(tmp_path / "data", VECTOR, Preprocessing())


def test_labels_index_the_scores_by_the_names_that_are_given(tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    samples = read_samples(tmp_path / "data", MAP, SIGNED)
    named = Preprocessing(labels=("class1", "other", "class0"))
    found = with_class_names(samples, 3, named, "data")
    assert found.labels is not None
    assert found.labels.tolist() == [2, 2, 2, 0, 0, 0]
    assert found.class_names == named.labels
    with pytest.raises(BadData, match="has 2 classes, the network 3 scores"):
        with_class_names(samples, 3, SIGNED, "data")
    without = of_arrays({"x": np.zeros((2, 5))}, VECTOR, Preprocessing(), np.array([0, 3]))
    with pytest.raises(BadData, match="labels 0 to 3; the network has 3 scores"):
        with_class_names(without, 3, Preprocessing(), "data")


def test_class_names_are_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffcat\r\nGröße\r\n\r\n".encode())
    assert read_labels(file) == ("cat", "Größe")
    for text, words in (("", "no class names"), ("a\n\nb\n", "line 2 is empty"), ("a\nb\na\n", "line 3 names 'a' again")):
        file.write_text(text)
        with pytest.raises(BadData, match=words):
            read_labels(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadData, match="not text in UTF-8"):
        read_labels(file)
