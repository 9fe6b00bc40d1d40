"""The package: what is in it, and that it runs on what it declares, in an environment of its own, from any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from packaging.requirements import Requirement
from PIL import Image

from .small_network import small_network

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = (
    "api", "sources", "quoting", "processes", "folders", "flynet", "export", "codegen", "firmware_templates", "firmware",
    "verify", "report",
    "deploy", "learn", "tables", "bench",
)  # fmt: skip
CHECKOUT_ONLY = {"studies"}


def run(*command: str | Path, folder: Path, timeout_s: int = 300) -> subprocess.CompletedProcess[str]:
    """In a folder, without the checkout on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)


def done(found: subprocess.CompletedProcess[str]) -> str:
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of a clone."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution of a clone, and the wheel that is made from it."""
    source = tmp_path_factory.mktemp("clone")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    done(run(sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", ".", folder=source))
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def required(requirements: Iterable[str]) -> set[str]:
    """The packages that these bring, by the metadata of those that are installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            if (requirement.name, wanted) not in found:
                found.add((requirement.name, wanted))
                waiting += [(inner, wanted) for inner in distribution(requirement.name).requires or ()]
    return {name for name, _ in found}


def make_environment(folder: Path, wheel: Path, extras: Iterable[str] = ()) -> Path:
    """A virtual environment with the wheel and what it requires, and nothing else; its folder of programs.

    It is what pip makes, without a network: the required packages are links to those that are installed here.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    asked = [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        asked += PROJECT["project"]["optional-dependencies"][extra]
    for name in required(asked):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    install = ("-m", "pip", "--python", folder / "bin" / "python", "install", "-q", "--no-deps", "--no-compile", wheel)
    done(run(sys.executable, *install, folder=folder))
    return folder / "bin"


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pip install flynet-tiny`, without an extra."""
    return make_environment(tmp_path_factory.mktemp("base") / "venv", wheel)


def test_version_is_said_once(wheel: Path, base: Path, tmp_path: Path) -> None:
    said = re.search(r'__version__ = "(.+)"', (ROOT / "__init__.py").read_text())
    assert said is not None
    assert said[1] == PROJECT["project"]["version"] == wheel.name.split("-")[1]
    assert done(run(base / "flynet-tiny", "--version", folder=tmp_path)).split()[-1] == said[1]


def test_every_room_is_in_the_package(tracked: list[str]) -> None:
    """A folder with Python files that the list lacks would be left out of the wheel without a word."""
    folders = {Path(name).parent for name in tracked if name.endswith(".py") and not name.startswith("tests/")}
    folders -= {Path(name) for name in CHECKOUT_ONLY}
    assert {".".join(("flynet_tiny", *folder.parts)) for folder in folders} == set(PROJECT["tool"]["setuptools"]["packages"])


def test_wheel_holds_one_package_with_all_its_data(wheel: Path, tracked: list[str]) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"flynet_tiny"}
    wanted = {f"flynet_tiny/{name}" for name in tracked if name.split("/")[0] in (*ROOMS, "__init__.py", "cli.py", "errors.py")}
    assert {name for name in names if name.startswith("flynet_tiny/")} == wanted


def test_wheel_says_its_licence_and_its_authors(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = HeaderParser().parsestr(archive.read(name).decode())
        licence = archive.read(name.replace("METADATA", "licenses/LICENSE"))
    assert said["License-Expression"] == "Apache-2.0"
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert b"Apache License" in licence
    assert said["Author"] == "the flynet-tiny developers"
    assert said["Description-Content-Type"] == "text/markdown"
    assert said["Keywords"]
    assert "Programming Language :: Python :: 3.11" in said.get_all("Classifier", [])


def test_source_distribution_holds_what_a_wheel_is_made_of(built: Path, tracked: list[str]) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE"} <= names
    assert {name for name in tracked if name.split("/")[0] in ROOMS} <= names
    assert not any(name.startswith(("tests", ".ci", "build")) or "__pycache__" in name for name in names)


def mean_colour() -> onnx.ModelProto:
    """[1, 3, 8, 8] -> the mean of each channel, [1, 3]."""
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["mean"]), helper.make_node("Flatten", ["mean"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "mean_colour", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def paint(folder: Path, classes: int) -> None:
    """One picture a class."""
    for index in range(classes):
        (folder / str(index)).mkdir(parents=True)
        Image.new("RGB", (10, 9), (40 * index, 30, 90)).save(folder / str(index) / "a.png")


def test_a_tflite_needs_no_extra(base: Path, tmp_path: Path) -> None:
    """Compiled, proven, emulated, reported and evaluated, from another folder, where torch and scikit-learn are not installed."""
    (tmp_path / "net.tflite").write_bytes(small_network())
    onnx.save(mean_colour(), tmp_path / "net.onnx")
    paint(tmp_path / "six", 6)
    paint(tmp_path / "three", 3)

    def cli(*arguments: str) -> str:
        return done(run(base / "flynet-tiny", *arguments, folder=tmp_path))

    absent = "import importlib.util as u; print([m for m in ('torch', 'sklearn', 'onnxscript', 'onnx_ir') if u.find_spec(m)])"
    assert done(run(base / "python", "-c", absent, folder=tmp_path)) == "[]\n"
    assert "0 differing" in cli("compile", "net.tflite", "--target", "stm32f412", "--out", "out")
    assert (tmp_path / "out" / "net.elf").is_file()
    assert "0 bytes differing" in cli("verify", "out", "--inputs", "2")
    assert cli("emulate", "out")
    assert "0 differing" in cli("report", "out")
    for model, data in (("net.tflite", "six"), ("out", "six"), ("net.onnx", "three")):
        assert "images" in cli("evaluate", model, "--data", data)
    assert "net" in cli("bench", "--model", "net.tflite")
    assert "net" in cli("bench", "--models", ".")
    assert "stm32f412" in cli("targets")
    assert "CONV_2D" in cli("ops")


@pytest.mark.parametrize(
    "arguments",
    [
        "export --width 0.4 --target stm32f412",
        "train --data digits --out net.pt",
        "evaluate net.pt --data digits",
        "models",
        "models --measure",
        "bench",
    ],
)
def test_what_needs_the_extra_says_so(arguments: str, base: Path, tmp_path: Path) -> None:
    (tmp_path / "net.pt").touch()
    found = run(base / "flynet-tiny", *arguments.split(), folder=tmp_path)
    assert found.returncode == 7
    assert found.stdout == ""
    assert found.stderr.splitlines() == [
        "error: this command needs torch, onnx_ir, onnxscript, scikit-learn: pip install 'flynet-tiny[torch]'"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


def test_every_module_imports_with_the_extra(wheel: Path, tmp_path: Path) -> None:
    """torchvision and what the tests need are not there."""
    programs = make_environment(tmp_path / "venv", wheel, ["torch"])
    script = (
        "import importlib, pkgutil, flynet_tiny\n"
        "names = [found.name for found in pkgutil.walk_packages(flynet_tiny.__path__, 'flynet_tiny.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(len(names))\n"
    )
    assert int(done(run(programs / "python", "-c", script, folder=tmp_path))) > 100
