"""A module by its factory, and weights that are never code."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from flynet_tiny.errors import BadCheckpoint, BadModel, UsageError
from flynet_tiny.sources.factory import load_weights, made_by
from flynet_tiny.sources.float_source import of_factory, split_factory

CODE = """
import torch
from torch import nn
from beside import WIDTH

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 3, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.head = nn.Linear(WIDTH + 4, 5)

    def forward(self, image, features):
        return self.head(torch.cat([torch.relu(self.norm(self.conv(image))).mean((2, 3)), features], 1))

def make_net():
    torch.manual_seed(0)
    return Net()

def broken():
    x = 1
    return missing

def number():
    return 7
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(CODE)
    (tmp_path / "beside.py").write_text("WIDTH = 6\n")
    return tmp_path / "nets.py"


def test_a_factory_is_a_file_and_a_function() -> None:
    assert split_factory("a/nets.py:make_net") == (Path("a/nets.py"), "make_net")
    assert split_factory("C:/x.onnx") is None
    assert split_factory("nets.py") is None


def test_inputs_get_the_shapes_that_their_names_say(code: Path) -> None:
    source = of_factory(code, "make_net", {"features": (1, 4), "image": (1, 3, 8, 8)}, None)
    assert source.shapes == {"image": (1, 3, 8, 8), "features": (1, 4)}
    assert source.classes == 5
    assert "Net" in source.origin


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("nothing", r"nets.py has no function 'nothing'; it has Net, make_net, broken, number"),
        ("broken", r"nets.py:broken fails in line 22: NameError: name 'missing' is not defined"),
        ("number", r"nets.py:number gives a int, not a torch.nn.Module"),
    ],
)
def test_what_a_factory_does_wrong_is_one_line(code: Path, factory: str, words: str) -> None:
    with pytest.raises(BadModel, match=words):
        made_by(code, factory)


def test_code_that_cannot_be_run_or_is_not_there(code: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("def f(:\n")
    with pytest.raises(BadModel, match=r"wrong.py fails in line 1: SyntaxError"):
        made_by(tmp_path / "wrong.py", "f")
    with pytest.raises(BadModel, match=r"none.py does not exist"):
        made_by(tmp_path / "none.py", "f")
    with pytest.raises(UsageError, match="give its shape with --input"):
        of_factory(code, "make_net", {}, None)
    with pytest.raises(BadModel, match=r"nets.py:make_net: torch.onnx cannot export"):
        of_factory(code, "make_net", {"image": (1, 5, 8, 8), "features": (1, 4)}, None)


def weights_of(code: Path) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    module = made_by(code, "make_net")
    return module, {key: value.clone() for key, value in module.state_dict().items()}


@pytest.mark.parametrize("wrapped", ["plain", "state_dict", "parallel", "old"])
def test_weights_are_taken_however_training_saved_them(code: Path, tmp_path: Path, wrapped: str) -> None:
    module, weights = weights_of(code)
    weights["head.bias"] = torch.arange(5.0)
    content = {
        "plain": weights,
        "state_dict": {"state_dict": weights, "epoch": 3},
        "parallel": {f"module.{key}": value for key, value in weights.items()},
        "old": {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")},
    }[wrapped]
    torch.save(content, tmp_path / "net.pt")
    load_weights(module, tmp_path / "net.pt", "nets.py:make_net")
    assert module.state_dict()["head.bias"].tolist() == [0, 1, 2, 3, 4]


def test_weights_of_another_network_are_one_line(code: Path, tmp_path: Path) -> None:
    module, weights = weights_of(code)
    del weights["conv.weight"]
    weights["head.weight"] = torch.zeros(5, 9)
    weights["extra"] = torch.zeros(1)
    torch.save(weights, tmp_path / "net.pt")
    with pytest.raises(BadCheckpoint) as refused:
        load_weights(module, tmp_path / "net.pt", "nets.py:make_net")
    text = str(refused.value)
    assert "net.pt does not fit nets.py:make_net: it lacks: conv.weight; has too much: extra" in text
    assert "head.weight is [5, 9], the module's [5, 10]" in text


def test_weights_that_are_not_finite_or_no_weights(code: Path, tmp_path: Path) -> None:
    module, weights = weights_of(code)
    weights["head.bias"][1] = torch.nan
    torch.save(weights, tmp_path / "nan.pt")
    with pytest.raises(BadCheckpoint, match=r"not finite: head.bias"):
        load_weights(module, tmp_path / "nan.pt", "n")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(BadCheckpoint, match="no weights by name"):
        load_weights(module, tmp_path / "list.pt", "n")
    with pytest.raises(BadCheckpoint, match="does not exist"):
        load_weights(module, tmp_path / "none.pt", "n")


class _Harmful:
    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.place,)


def test_no_code_in_a_file_of_weights_is_run(code: Path, tmp_path: Path) -> None:
    module, _ = weights_of(code)
    for save in (torch.save, lambda content, file: file.write_bytes(pickle.dumps(content))):
        save({"head.bias": _Harmful(tmp_path / "harm")}, tmp_path / "evil.pt")
        with pytest.raises(BadCheckpoint, match="weights_only"):
            load_weights(module, tmp_path / "evil.pt", "n")
    assert not (tmp_path / "harm").exists()
