"""`check`: what a model is, and everything that stops it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from onnx import helper
from torch import nn

from flynet_tiny.api.checking import check_file
from flynet_tiny.api.python import check
from flynet_tiny.cli import cli, main
from flynet_tiny.errors import BadModel, OverBudget, UsageError
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

from ..foreign_models import classifier, edited
from ..small_models import mdw_max_out

SHAPE = {"": (1, 3, 12, 12)}


def ended(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_an_onnx_file_is_counted(place: Path) -> None:
    found = check_file(str(place / "net.onnx"), SHAPE)
    assert found.compiles
    assert (found.model, found.kind) == ("net.onnx", "float ONNX of opset 17 by a stranger")
    assert (found.inputs, found.outputs) == ({"x": (1, 3, 12, 12)}, {"y": (1, 4)})
    assert found.macs == 6 * 6 * 8 * 27 + 8 * 4
    assert found.operators == {"Clip": 1, "Conv": 1, "Gemm": 1, "ReduceMean": 1, "Reshape": 1, "Softmax": 1}
    assert "compiles    yes" in str(found)


def test_an_int8_file_is_counted(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(mdw_max_out())
    found = check_file(str(tmp_path / "net.tflite"), {}, target="stm32f412")
    assert found.compiles
    assert found.kind == "int8 TensorFlow Lite"
    assert found.macs > 0
    assert found.parameters > 0
    assert sum(found.operators.values()) > 1


def test_everything_that_stops_a_model_is_named_and_the_exit_code_is_4(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_two(model: object) -> None:
        model.graph.node[2].CopyFrom(helper.make_node("Hardmax", ["n1"], ["r1"], "/first/Hardmax"))
        model.graph.node[10].CopyFrom(helper.make_node("CumSum", ["scores", "first"], ["y"], "/last/\x1b[31mCumSum"))

    (tmp_path / "odd.onnx").write_bytes(edited(classifier(), break_two).SerializeToString())
    assert ended(["check", str(tmp_path / "odd.onnx"), "--input", "1,3,12,12"]) == 4
    said = capsys.readouterr().out
    assert "NO: 2 operators" in said
    assert "/first/Hardmax" in said
    assert "\x1b" not in said
    assert ended(["check", str(tmp_path / "odd.onnx"), "--input", "1,3,12,12", "--json"]) == 4
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 2
    assert ended(["check", str(place / "net.onnx"), "--input", "1,3,12,12"]) == 0


def test_unsupported_operators_of_an_int8_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = tuple(TensorSpec(n, (1, 4), "int8", (0.1,), (0,)) for n in "xyz")
    ops = (OpSpec("ELU", ("x",), ("y",), {}), OpSpec("ELU", ("y",), ("z",), {}))
    (tmp_path / "net.tflite").write_bytes(write_tflite(ModelSpec(tensors, ops, ("x",), ("z",))))
    assert ended(["check", str(tmp_path / "net.tflite")]) == 4
    assert capsys.readouterr().out.count(" ELU ->") == 2


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.inner = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(8, 8, 2, 2, dilation=3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumsum(self.inner(self.stem(x)), 1)


def test_a_module_is_told_by_its_path_and_what_works_instead() -> None:
    found = check(Unsupported(), example_inputs=(torch.zeros(1, 3, 8, 8),))
    assert not found.compiles
    assert any("inner.1" in problem for problem in found.problems)
    assert any("CumSum" in problem for problem in found.problems)


def test_what_is_no_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    with pytest.raises(BadModel, match="not an ONNX model"):
        check_file(str(tmp_path / "net.onnx"), {})
    with pytest.raises(UsageError, match="example_inputs"):
        check(Unsupported())
    with pytest.raises(UsageError, match="not int"):
        check(7, example_inputs=(torch.zeros(1, 3, 8, 8),))  # type: ignore[arg-type]


def test_more_weights_than_flash_are_refused(tmp_path: Path) -> None:
    (tmp_path / "big.onnx").write_bytes(classifier(shape=(1, 3, 12, 12), classes=130_000).SerializeToString())
    with pytest.raises(OverBudget, match="parameters, a byte each"):
        check_file(str(tmp_path / "big.onnx"), {}, target="stm32f412")


def test_help_says_that_code_is_run_from_the_factory_alone() -> None:
    said = " ".join(cli.commands["compile"].get_help(cli.make_context("x", ["targets"])).split())
    assert "Code is run from FILE.py alone. A .pt is read as weights (weights_only), never as code" in said
