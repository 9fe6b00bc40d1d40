"""Bad input from the command line: one line, the right exit code, nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flynet_tiny.cli import cli, main
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

from .foreign_models import classifier, edited
from .small_models import mdw_max_out


def run(
    *arguments: object, cwd: Path, before: Callable[[], None] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flynet_tiny.cli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=300,
    )


def fails(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == code, result.stderr
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in errors[0]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(mdw_max_out())
    return path


def left(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "--target", "stm32f421"), ("stm32f421", "did you mean", "stm32f429")),
        (("export", "--target", "stm32f412", "--width", "0"), ("width",)),
        (("export", "--target", "stm32f412", "--width", "7"), ("width",)),
        (("export", "--target", "stm32f412", "--width", "nan"), ("width",)),
        (("export", "--target", "stm32f412", "--heads", "9"), ("heads",)),
        (("export", "--target", "stm32f412", "--model", "flynet-0.4x"), ("unknown model", "flynet-h3-0.4x")),
        (("export", "--target", "stm32f412", "--model", "flynet-h1-0.5x", "--heads", "3"), ("--heads 3", "contradicts")),
        (("train", "--data", "digits", "--model", "flynet-h1-0.5x", "--width", "0.4", "--out", "x.pt"), ("--width 0.4",)),
        (("models", "--only", "flynet-h1-0.5x"), ("--measure",)),
        (("export", "--target", "stm32f412", "--resolution", "2"), ("resolution",)),
        (("export", "--target", "stm32f412", "--channels", "2"), ("channels",)),
        (("export", "--target", "stm32f412", "--classes", "many"), ("--classes",)),
        (("export", "--target", "stm32f412", "--emit", "asm"), ("--emit",)),
        (("export", "--target", "stm32f412", "--emit", "plan", "--json"), ("leave out --json",)),
        (("compile", "net.tflite", "--target", "stm32f412", "--emit", "ir", "--out", "x"), ("--emit ir", "leave out --out")),
        (("compile", "net.tflite", "--target", "stm32f412", "--out", ""), ("--out", "empty")),
        (("evaluate", "net.tflite", "--data", "digits", "--out", ""), ("--out", "empty")),
        (("bench", "--out", ""), ("--out", "empty")),
        (("export", "--target", "stm32f412", "--colour", "red"), ("--colour",)),
        (("export", "--target", "stm32f412", "--qat-epochs", "1"), ("--qat-epochs", "--checkpoint")),
        (("evaluate", "net.tflite", "--data", "digits", "--runtime", "host"), ("--runtime", "output folders")),
        (("evaluate", "net.pth", "--data", "digits"), ("net.pth", "does not exist")),
        (("export",), ("--target",)),
        (("exprot",), ("exprot", "export")),
        (("compile", "net.tflite", "--target", "stm32f412", "--name", "1 net"), ("--name",)),
        (("compile", "net.tflite", "--target", "stm32f412", "--name", "String"), ("--name String", "taken", "net_String")),
        (("compile", "net.tflite", "--target", "stm32f412", "--name", "verify_port"), ("--name verify_port", "taken")),
        (("train", "--data", "digits", "--width", "9", "--out", "x.pt"), ("width",)),
        (("train", "--data", "digits", "--seed", str(1 << 64), "--out", "x.pt"), ("--seed",)),
        (("train", "--data", "digits", "--teacher-weight", "2", "--out", "x.pt"), ("--teacher-weight",)),
        (("train", "--data", "digits", "--teacher-temperature", "0", "--out", "x.pt"), ("--teacher-temperature",)),
        (("export", "--target", "stm32f412", "--seed", "-1"), ("--seed",)),
        (("compile", "net.tflite", "--target", "stm32f412", "--seed", "-1"), ("--seed",)),
        (("verify", "out", "--seed", "-1"), ("--seed",)),
        (("compile", "nets.py", "--target", "stm32f412"), ("nets.py is code", "nets.py:make_net")),
        (("compile", "net.pt", "--target", "stm32f412"), ("weights only", "nets.py:make_net --weights net.pt")),
        (("compile", "net.onnx", "--target", "stm32f412", "--input", "1,three"), ("--input '1,three'", "1,3,96,96")),
        (("compile", "net.tflite", "--target", "stm32f412", "--calibration", "x.npz"), ("--calibration", "int8 .tflite")),
        (("compile", "net.onnx", "--target", "stm32f412", "--mean", "0.5"), ("--mean needs --std",)),
        (("compile", "", "--target", "stm32f412"), ("the name is empty",)),
        (("check", "net.py"), ("net.py:make_net",)),
    ],
)
def test_usage_errors_exit_with_2(tmp_path: Path, model: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    fails(run(*arguments, cwd=tmp_path), 2, *words)
    assert left(tmp_path) == {"net.tflite"}


def test_missing_and_corrupt_checkpoints_exit_with_3(tmp_path: Path) -> None:
    fails(run("export", "--target", "stm32f412", "--checkpoint", "none.pt", cwd=tmp_path), 3, "none.pt", "does not exist")
    (tmp_path / "bad.pt").write_bytes(b"PK\x03\x04 not really")
    fails(run("export", "--target", "stm32f412", "--checkpoint", "bad.pt", cwd=tmp_path), 3, "bad.pt")
    assert left(tmp_path) == {"bad.pt"}


def test_unusable_picture_folders_exit_with_3(tmp_path: Path) -> None:
    options = ("export", "--target", "stm32f412", "--resolution", "32", "--calibration")
    fails(run(*options, "nowhere", cwd=tmp_path), 3, "nowhere")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    fails(run(*options, "pictures", cwd=tmp_path), 3, "broken.jpg")
    fails(run("train", "--data", "pictures", "--out", "x.pt", cwd=tmp_path), 3, "pictures")
    fails(run("train", "--data", "digits", "--out", "pictures", cwd=tmp_path), 3, "pictures", "is a folder")
    assert left(tmp_path) == {"pictures"}


def test_bad_model_files_exit_with_3(tmp_path: Path, model: Path) -> None:
    fails(run("compile", "none.tflite", "--target", "stm32f412", cwd=tmp_path), 3, "none.tflite")
    model.write_bytes(model.read_bytes()[:-100])
    fails(run("compile", "net.tflite", "--target", "stm32f412", cwd=tmp_path), 3, "truncated")
    tensors = (TensorSpec("image", (1, 4), "float32"), TensorSpec("y", (1, 4), "float32"))
    model.write_bytes(write_tflite(ModelSpec(tensors, (OpSpec("RELU", ("image",), ("y",), {}),), ("image",), ("y",))))
    fails(run("compile", "net.tflite", "--target", "stm32f412", cwd=tmp_path), 3, "FLOAT32", "image")
    assert left(tmp_path) == {"net.tflite"}


def test_float_models_that_cannot_be_taken_exit_with_3_or_4(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    fails(
        run("compile", "bad.onnx", "--target", "stm32f412", "--calibration", "x.npz", cwd=tmp_path), 3, "bad.onnx", "not an ONNX"
    )
    odd = edited(classifier(), lambda model: setattr(model.graph.node[10], "op_type", "Hardmax"))
    (tmp_path / "odd.onnx").write_bytes(odd.SerializeToString())
    given = ("odd.onnx", "--input", "1,3,8,8")
    fails(run("compile", *given, "--target", "stm32f412", "--calibration", "x.npz", cwd=tmp_path), 4, "/softmax/Softmax")
    (tmp_path / "odd.onnx").write_bytes(classifier().SerializeToString())
    fails(run("compile", *given, "--target", "stm32f412", cwd=tmp_path), 2, "give --calibration", "x [1, 3, 8, 8]")
    fails(run("compile", *given, "--target", "stm32f412", "--calibration", "x.npz", cwd=tmp_path), 3, "x.npz")
    assert left(tmp_path) == {"bad.onnx", "odd.onnx"}


def test_models_without_an_operator_or_with_an_input_twice_exit_with_3(tmp_path: Path, model: Path) -> None:
    x, y = (TensorSpec(n, (1, 4), "int8", (0.1,), (0,)) for n in "xy")
    model.write_bytes(write_tflite(ModelSpec((x,), (), ("x",), ("x",))))
    fails(run("compile", "net.tflite", "--target", "stm32f412", cwd=tmp_path), 3, "needs an operator")
    model.write_bytes(write_tflite(ModelSpec((x, y), (OpSpec("RELU", ("x",), ("y",), {}),), ("x", "x"), ("y",))))
    fails(run("compile", "net.tflite", "--target", "stm32f412", cwd=tmp_path), 3, "twice")
    assert left(tmp_path) == {"net.tflite"}


def test_detection_data_that_is_no_coco_exits_with_3(tmp_path: Path) -> None:
    fails(run("train", "--data", "coco:none", "--out", "x.pt", cwd=tmp_path), 3, "none/annotations", "instances_train*.json")
    assert left(tmp_path) == set()


@pytest.mark.parametrize("name", ["main", "board", "stdint"])
def test_a_library_is_never_called_like_another_c_file(tmp_path: Path, model: Path, name: str) -> None:
    model.rename(tmp_path / f"{name}.tflite")
    result = run("compile", f"{name}.tflite", "--target", "stm32f412", "--emit", "c", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"int net_{name}_invoke(" in result.stdout


def test_unsupported_operators_exit_with_4(tmp_path: Path, model: Path) -> None:
    tensors = tuple(TensorSpec(n, (1, 4), "int8", (0.1,), (0,)) for n in "xy")
    model.write_bytes(write_tflite(ModelSpec(tensors, (OpSpec("ELU", ("x",), ("y",), {}),), ("x",), ("y",))))
    fails(run("compile", "net.tflite", "--target", "stm32f412", cwd=tmp_path), 4, "ELU", "RELU")


def test_unwritable_output_exits_with_3(tmp_path: Path, model: Path) -> None:
    fails(run("compile", "net.tflite", "--target", "stm32f412", "--out", "/proc/out", cwd=tmp_path), 3, "/proc/out")
    (tmp_path / "taken").write_text("mine")
    fails(run("compile", "net.tflite", "--target", "stm32f412", "--out", "taken", cwd=tmp_path), 3, "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_write_that_fails_half_way_exits_with_3_and_leaves_nothing(tmp_path: Path, model: Path) -> None:
    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    result = run("compile", "net.tflite", "--target", "stm32f412", "--out", "out", cwd=tmp_path, before=limit_files)
    fails(result, 3, "out", "nothing was kept")
    assert left(tmp_path) == {"net.tflite"}


def test_missing_tools_exit_with_7_and_say_how_to_install(tmp_path: Path, model: Path) -> None:
    result = run("compile", "net.tflite", "--target", "stm32f412", cwd=tmp_path, PATH="/nonexistent")
    fails(result, 7, "arm-none-eabi-gcc", "apt")
    assert left(tmp_path) == {"net.tflite"}


@pytest.mark.parametrize(("floor", "word"), [("ir", "DEPTHWISE_CONV_2D"), ("plan", "arena "), ("c", "int net_invoke(")])
def test_every_floor_can_be_looked_at_without_tools(tmp_path: Path, model: Path, floor: str, word: str) -> None:
    result = run("compile", "net.tflite", "--target", "stm32f412", "--emit", floor, cwd=tmp_path, PATH="/nonexistent")
    assert result.returncode == 0, result.stderr
    assert word in result.stdout
    assert left(tmp_path) == {"net.tflite"}
    if floor == "ir":
        assert [line for line in result.stdout.splitlines() if line[0:1] == "#"] == ["# as the file has it", "# as compiled"]


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_has_help_with_examples(tmp_path: Path, command: str) -> None:
    result = run(command, "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert f"flynet-tiny {command}" in result.stdout.split("Examples:")[1]


def test_targets_lists_all_banks(tmp_path: Path) -> None:
    text = run("targets", cwd=tmp_path).stdout
    assert "AXI_SRAM 512 @ 0x24000000" in text


def test_a_bug_that_ends_a_file_early_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """click takes EOFError for Ctrl-D at a prompt, and would end with 130."""

    def bug(_: bool) -> str:
        raise EOFError("ran out of input")

    monkeypatch.setattr("flynet_tiny.tables.targets.targets_table", bug)
    with pytest.raises(EOFError, match="ran out"):
        main(["targets"])


_LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", _LONG, "--target", "stm32f412"),
        ("evaluate", _LONG, "--data", "digits"),
        ("verify", _LONG),
        ("emulate", _LONG),
        ("report", _LONG),
        ("bench", "--model", _LONG),
        ("bench", "--models", _LONG),
        ("train", "--data", _LONG, "--out", "x.pt"),
        ("train", "--data", f"coco:{_LONG}", "--out", "x.pt"),
        ("train", "--data", "digits", "--out", _LONG),
        ("train", "--data", "digits", "--start", _LONG, "--out", "x.pt"),
        ("export", "--checkpoint", _LONG, "--target", "stm32f412"),
    ],
)
def test_a_path_that_the_system_refuses_to_look_at_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """Too long a name, as any user can try it; a folder that may not be entered says the same by another errno."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert ended.value.code == 3, line
    assert "File name too long" in line
    assert len(line) < 500
    assert left(tmp_path) == set()


def test_an_error_of_the_system_that_is_no_users_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_: bool) -> str:
        raise FileNotFoundError(2, "No such file or directory", "data.json")

    monkeypatch.setattr("flynet_tiny.tables.targets.targets_table", bug)
    with pytest.raises(FileNotFoundError):
        main(["targets"])
