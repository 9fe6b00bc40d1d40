from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flynet_tiny.api.commands import compile_model
from flynet_tiny.deploy.emulate_folder import emulate_folder
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.flynet.data.pixels import choose_pixels

from ..small_models import mdw_max_out


def test_a_picture_is_given_as_the_model_wants_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It answers as to the .npy that the header's formula gives; without --pixels a line says what was assumed."""
    (tmp_path / "net.tflite").write_bytes(mdw_max_out(4, 4, 3))
    compile_model(tmp_path / "net.tflite", DeploymentRequest("stm32f405", tmp_path / "out", emulate=False, as_json=True))
    scale, zero_point = 0.045478466898202896, 0
    grey = 100
    Image.new("RGB", (9, 9), (grey, grey, grey)).save(tmp_path / "grey.png")
    capsys.readouterr()
    for pixels, real in (("unit", grey / 255), ("signed", (grey / 255 - 0.5) / 0.5), ("raw", float(grey))):
        stored = np.clip(round(real / scale) + zero_point, -128, 127)
        np.save(tmp_path / "grey.npy", np.full((1, 4, 4, 3), stored, np.int8))
        expected = emulate_folder(tmp_path / "out", tmp_path / "grey.npy", 48)
        assert emulate_folder(tmp_path / "out", tmp_path / "grey.png", 48, choose_pixels(pixels, None, None)) == expected
        assert "normalised as in our training" not in capsys.readouterr().err
    assert emulate_folder(tmp_path / "out", tmp_path / "grey.png", 48) != expected
    assert "normalised as in our training; say with --pixels" in capsys.readouterr().err
    np.save(tmp_path / "bytes.npy", np.zeros((1, 4, 4, 3), np.uint8))
    with pytest.raises(BadData, match=r"takes int8\[1, 4, 4, 3\]: round\(real / 0\.0454785\) \+0, clamped"):
        emulate_folder(tmp_path / "out", tmp_path / "bytes.npy", 1)


@pytest.mark.parametrize("given_input", [None, "x.npy"])
def test_pixels_go_with_a_picture(folder: Path, given_input: str | None) -> None:
    with pytest.raises(UsageError, match="give one with --input"):
        emulate_folder(folder, Path(given_input) if given_input else None, 1, choose_pixels("unit", None, None))


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="gone is not an output folder of ours: it does not exist"):
        emulate_folder(tmp_path / "gone", None, 1)
    (tmp_path / "file").touch()
    with pytest.raises(BadData, match="file is not an output folder of ours: it is not a folder"):
        emulate_folder(tmp_path / "file", None, 1)


def saved(save: Callable[..., None], *arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, *arrays)
    return file.getvalue()


def test_an_input_that_is_no_int8_array_of_the_networks_shape_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = json.loads((folder / "report.json").read_text())
    shape = report["model"]["input_ports"][0]["shape"]
    good = saved(np.save, np.zeros(shape, np.int8))
    huge = good.replace(str(tuple(shape)).encode(), b"(100000000000000,)".ljust(len(str(tuple(shape)))))
    wrong = {
        "is not a .npy": (b"", b"words", good[:9], good[:40], good[:-1], saved(np.savez, np.zeros(shape, np.int8))),
        "the network takes int8": (
            huge,
            saved(np.save, np.zeros(shape, np.uint8)),
            saved(np.save, np.zeros((*shape, 2), np.int8)),
            saved(np.save, np.array([None])),
        ),
        "larger than": (good + bytes(1 << 20),),
    }
    array = tmp_path / "x.npy"
    monkeypatch.setattr("flynet_tiny.deploy.emulate_folder.run_emulated", lambda *_, **__: pytest.fail("it was run"))
    for words, contents in wrong.items():
        for content in contents:
            array.write_bytes(content)
            with pytest.raises(BadData, match=words) as caught:
                emulate_folder(folder, array, 1)
            assert "\n" not in str(caught.value)
    os.unlink(array)
    os.mkfifo(array)
    with pytest.raises(BadData, match="not a regular file"):
        emulate_folder(folder, array, 1)


def test_an_int8_array_is_run(folder: Path, tmp_path: Path) -> None:
    shape = json.loads((folder / "report.json").read_text())["model"]["input_ports"][0]["shape"]
    for version in ((1, 0), (2, 0), (3, 0)):
        with (tmp_path / "x.npy").open("wb") as file:
            np.lib.format.write_array(file, np.asfortranarray(np.zeros(shape, np.int8)), version)
    assert "the 1 largest of" in emulate_folder(folder, tmp_path / "x.npy", 1)
