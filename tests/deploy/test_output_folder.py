from __future__ import annotations

import errno
from pathlib import Path

import pytest

from flynet_tiny.deploy.output_folder import output_folder, require_replaceable
from flynet_tiny.errors import OutputFailed


def write_ours(folder: Path, text: str) -> None:
    (folder / "report.json").write_text(text)


def test_folder_appears_whole(tmp_path: Path) -> None:
    with output_folder(tmp_path / "deep" / "out") as scratch:
        assert not (tmp_path / "deep" / "out").exists()
        write_ours(scratch, "1")
    assert (tmp_path / "deep" / "out" / "report.json").read_text() == "1"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]


def test_our_own_folder_is_replaced(tmp_path: Path) -> None:
    for text in "12":
        with output_folder(tmp_path / "out") as scratch:
            write_ours(scratch, text)
            (scratch / f"only{text}").touch()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["only2", "report.json"]


def test_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out") as scratch:
        write_ours(scratch, "old")
    with pytest.raises(RuntimeError, match="stop"), output_folder(tmp_path / "out") as scratch:
        write_ours(scratch, "new")
        raise RuntimeError("stop")
    assert (tmp_path / "out" / "report.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="No space left"), output_folder(tmp_path / "out") as scratch:
        (scratch / "half").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputFailed, match="not ours"), output_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputFailed, match="no folder"), output_folder(tmp_path / "out"):
        pass


def test_unwritable_parent_is_refused() -> None:
    with pytest.raises(OutputFailed, match="cannot write"), output_folder(Path("/proc/nowhere/out")):
        pass


def test_a_place_that_cannot_hold_a_folder_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputFailed, match="file is no folder"):
        require_replaceable(tmp_path / "file" / "deep" / "out")
    monkeypatch.setattr("os.access", lambda *_: False)  # whoever runs the tests may be allowed everything
    with pytest.raises(OutputFailed, match="cannot write in"):
        require_replaceable(tmp_path / "deep" / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
