"""What the code imports is what pyproject.toml declares, and where an extra is needed it is imported late."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ROOMS = (
    "quoting", "processes", "folders", "codegen", "firmware", "verify", "report", "bench", "deploy", "learn", "tables", "studies",
    "flynet", "export", "firmware_templates",
)  # fmt: skip
NEED_TORCH = ("flynet", "export")  # the rooms that may import the extra `torch` as soon as they are imported
NOT_IMPORTING = ("TYPE_CHECKING", "__name__ == '__main__'")
STARTED_BY_NAME = {"build", "pytest-xdist", "ziglang", "setuptools"}  # programs and plugins of the tests
FOUND_BY_NAME = {"scikit-learn", "torchvision"}  # its files are read; it is imported by a function that explains a failure
PACKAGE_OF = packages_distributions()  # by the first name of a module


def declared(requirements: list[str]) -> set[str]:
    """Their names; an extra of ours stands for what it holds."""
    found: set[str] = set()
    for requirement in map(Requirement, requirements):
        if requirement.name == PROJECT["name"]:
            found = found.union(*(declared(EXTRAS[extra]) for extra in requirement.extras))
        else:
            found.add(canonicalize_name(requirement.name))
    return found


BASE = declared(PROJECT["dependencies"])
TORCH = BASE | declared(EXTRAS["torch"])
DETECTION = BASE | declared(EXTRAS["detection"])
EVERYTHING = BASE.union(*(declared(extra) for extra in EXTRAS.values()))


def imported(path: Path, late_too: bool) -> Iterator[str]:
    """Third-party modules, by their first name; without `late_too` those that importing the file imports."""
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found = [node.module or ""]
        else:
            found = []
        yield from {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"flynet_tiny"}
        is_late = isinstance(node, ast.FunctionDef) or (isinstance(node, ast.If) and ast.unparse(node.test) in NOT_IMPORTING)
        if late_too or not is_late:
            waiting += ast.iter_child_nodes(node)


def packages(path: Path, late_too: bool = True) -> set[str]:
    modules = set(imported(path, late_too))
    unknown = modules - PACKAGE_OF.keys()
    assert not unknown, f"{path.relative_to(ROOT)} imports {unknown}, which no installed package has"
    return {canonicalize_name(PACKAGE_OF[module][0]) for module in modules}


def files(room: str) -> list[Path]:
    """Without the tests for TensorFlow, which is seldom installed."""
    return sorted(path for path in (ROOT / room).rglob("*.py") if path.parent.name != "cross_check")


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_imports_is_declared(room: str) -> None:
    assert files(room)
    for path in files(room):
        undeclared = packages(path) - DETECTION
        assert not undeclared, f"{path.relative_to(ROOT)} imports {undeclared}, which neither the project nor an extra declares"
        needed = packages(path, late_too=False) - (TORCH if room in NEED_TORCH else BASE)
        assert not needed, f"{path.relative_to(ROOT)} cannot be imported without {needed}; import it inside the function"


def test_the_command_line_imports_what_is_always_there() -> None:
    for name in ("__init__.py", "cli.py", "errors.py"):
        assert packages(ROOT / name) <= BASE


def test_what_the_tests_import_is_declared() -> None:
    needed = set().union(*map(packages, files("tests"))) - declared(EXTRAS["test"]) - BASE
    assert not needed


def test_what_is_declared_is_imported() -> None:
    ours = set().union(*(packages(path) for room in ROOMS for path in files(room)), packages(ROOT / "cli.py"))
    assert not TORCH - ours - FOUND_BY_NAME
    everywhere = set().union(ours, *map(packages, files("tests")))
    assert not declared(EXTRAS["test"]) - everywhere - STARTED_BY_NAME - FOUND_BY_NAME
