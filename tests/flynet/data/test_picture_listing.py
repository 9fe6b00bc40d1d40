"""A folder's pictures: which files they are, in which order, and what is said of folders that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from flynet_tiny.errors import BadData
from flynet_tiny.flynet.data.picture_listing import list_pictures


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def test_pictures_come_class_by_class_and_other_files_not_at_all(tmp_path: Path) -> None:
    found = list_pictures(make(tmp_path, "b/2.JPG", "b/1.png", "a/x.jpeg", "a/notes.txt", "a/deep/y.png", "readme.png"))
    assert [found.file(index).relative_to(tmp_path).as_posix() for index in range(len(found))] == [
        "a/x.jpeg",
        "b/1.png",
        "b/2.JPG",
    ]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 1]
    assert found.class_names == ("a", "b")


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    """A Mac leaves `._1.png` beside `1.png`: no picture, for all its name."""
    found = list_pictures(make(tmp_path, "a/1.png", "a/._1.png", ".cache/2.png"))
    assert (found.names, found.class_names) == (("1.png",), ("a",))


def test_a_split_is_entered_and_loose_pictures_have_no_labels(tmp_path: Path) -> None:
    make(tmp_path, "train/a/1.png", "val/a/2.png")
    assert list_pictures(tmp_path, "val").names == ("2.png",)
    loose = list_pictures(tmp_path / "val" / "a", "val")
    assert (loose.names, loose.labels, loose.file(0)) == (("2.png",), None, tmp_path / "val" / "a" / "2.png")


def test_a_limit_takes_evenly(tmp_path: Path) -> None:
    found = list_pictures(make(tmp_path, *(f"{name}/{index}.png" for name in "abc" for index in range(3)))).evenly(3)
    assert found.names == ("0.png", "1.png", "2.png")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2]
    assert found.file(1) == tmp_path / "b" / "1.png"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("a/1.png", "b/notes.txt"), "class folder .*b holds no picture"),
        (("notes.txt",), "holds no picture"),
        (("a/b/c/1.png",), "class folder .*a holds no picture"),
    ],
)
def test_folders_without_pictures_are_named(tmp_path: Path, files: tuple[str, ...], words: str) -> None:
    with pytest.raises(BadData, match=words):
        list_pictures(make(tmp_path, *files))
    with pytest.raises(BadData, match="is not a folder"):
        list_pictures(tmp_path / "nowhere")
