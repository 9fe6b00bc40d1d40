"""The arrows between the rooms go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT: dict[str, set[str]] = {
    "quoting": set(),
    "flynet": {"errors", "quoting"},
    "export": {"errors", "quoting"},  # and SHARED
    "codegen": {"errors", "quoting"},
    "firmware_templates": set(),
    "processes": set(),
    "folders": {"errors", "quoting", "processes"},
    "firmware": {"errors", "quoting", "processes", "folders", "codegen", "firmware_templates"},
    "verify": {"errors", "quoting", "processes", "folders", "codegen", "firmware"},
    "report": {"errors", "quoting", "codegen"},
    "sources": {"errors", "quoting", "folders", "flynet", "export"},
    "deploy": {"errors", "quoting", "folders", "flynet", "sources", "export", "codegen", "firmware", "verify", "report"},
    "api": {"errors", "quoting", "folders", "flynet", "export", "codegen", "verify", "report", "sources", "deploy"},
    "learn": {"errors", "quoting", "folders", "flynet", "sources", "codegen", "firmware", "verify", "report", "deploy"},
    "tables": {"errors", "folders", "flynet", "sources", "export", "codegen", "firmware", "deploy"},
    "bench": {"errors", "quoting", "folders", "sources", "codegen", "firmware", "verify", "deploy"},
    "studies": {"flynet", "export", "deploy"},
}

# Arithmetic that is written down once: export and codegen else meet only through the .tflite file.
SHARED = {"export": {("codegen", "fixed_point"), ("codegen", "activations")}}

CODEGEN_FLOORS = [
    {"fixed_point", "activations", "targets"},
    {"activations_16", "fixed_point_16", "ir", "build"},
    {"contracts", "lstm", "int8_functions"},
    {"svdf"},
    {"verify_graph"},
    {"reading", "supported_ops"},
    {"tflite_reader", "reference", "passes", "kernels"},
    {"minimise"},
    {"schedule", "c_format", "c_library"},
    {"function_names"},
    {"functions", "intrinsics"},
    {"emit", "own_functions", "stack_bytes"},
    {"compiler"},
    {"text"},
]


# The folders of flynet and the files beside them: what each may import of the room.
FLYNET_MAY_IMPORT: dict[str, set[str]] = {
    "data": set(),
    "networks": set(),
    "detection": {"data", "networks"},
    "register": {"networks", "detection"},
    "counts": {"networks", "register"},
    "checkpoint": {"networks", "register"},
    "training": {"data", "networks", "detection", "register"},
}


def imports(path: Path) -> set[tuple[str, ...]]:
    """Every import of a file that stays in the project, as parts of a path from the root."""
    here = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1]
            parts = (*base, *(node.module.split(".") if node.module else ()))
            found |= {parts} if node.module else {(*parts, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("flynet_tiny"), f"{path}: import between rooms must be relative"
        elif isinstance(node, ast.Import):
            assert not any(a.name.startswith("flynet_tiny") for a in node.names), f"{path}: import between rooms must be relative"
    return found


def files(room: str, root: Path = ROOT) -> list[Path]:
    return sorted(p for p in (root / room).rglob("*.py") if "templates" not in p.parts)


def test_every_folder_with_python_is_a_room() -> None:
    found = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"build", "tests"}
    assert found == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_what_lies_below(room: str) -> None:
    assert files(room)
    for path in files(room):
        for target in imports(path):
            if target and target[0] != room and target[0] not in ("__version__", "__init__"):
                allowed = target[0] in MAY_IMPORT[room] or target in SHARED.get(room, set())
                assert allowed, f"{path.relative_to(ROOT)} imports {'.'.join(target)}"


def floor(module: str) -> int:
    return next(i for i, names in enumerate(CODEGEN_FLOORS) if module in names)


def test_codegen_imports_go_down_its_floors() -> None:
    for path in files("codegen"):
        module = path.relative_to(ROOT / "codegen").parts[0].removesuffix(".py")
        if module == "__init__":
            continue
        for target in imports(path):
            if target[0] == "codegen" and len(target) > 1 and target[1] != module:
                assert floor(target[1]) <= floor(module), f"{path.relative_to(ROOT)} imports {'.'.join(target)}, which lies above"


def test_flynet_imports_go_down_its_folders() -> None:
    for path in files("flynet"):
        part = path.relative_to(ROOT / "flynet").parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for target in imports(path):
            if target[0] == "flynet" and target[1] != part:
                assert target[1] in FLYNET_MAY_IMPORT[part], f"{path.relative_to(ROOT)} imports {'.'.join(target)}"


Module = tuple[str, ...]


def module_graph(root: Path, rooms: Iterable[str]) -> dict[Module, set[Module]]:
    """Which module names which, wherever in its file: at the top, inside a function, for types alone.

    A package is its `__init__.py`; that an import runs those of the packages around it does not count.
    """
    paths = [*root.glob("*.py"), *(path for room in rooms for path in files(room, root))]
    modules = {}
    for path in paths:
        parts = path.relative_to(root).with_suffix("").parts
        modules[parts[:-1] if parts[-1] == "__init__" else parts] = path
    graph: dict[Module, set[Module]] = {module: set() for module in modules}
    for module, path in modules.items():
        here = path.relative_to(root).parts[:-1]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = (*here[: len(here) - node.level + 1], *(node.module.split(".") if node.module else ()))
                named = {(*base, alias.name) for alias in node.names}
                graph[module] |= {name if name in modules else base for name in named} & modules.keys() - {module}
    return graph


def circles(graph: Mapping[Module, set[Module]]) -> set[frozenset[Module]]:
    """Modules that reach each other: the strongly connected components of more than one."""

    def reached(start: Module) -> set[Module]:
        found: set[Module] = set()
        pending = [start]
        while pending:
            new = graph[pending.pop()] - found
            found |= new
            pending += new
        return found

    reach = {module: reached(module) for module in graph}
    mutual = (frozenset(other for other in reach[module] if module in reach[other]) for module in graph)
    return {group for group in mutual if len(group) > 1}


def test_no_module_imports_itself_through_others() -> None:
    graph = module_graph(ROOT, MAY_IMPORT)
    assert len(graph) > 150
    assert graph[("cli",)]
    found = sorted(sorted(".".join(module) for module in group) for group in circles(graph))
    assert not found, "\n".join(f"in a circle: {', '.join(names)}" for names in found)


def test_a_circle_is_found_through_packages_functions_and_types(tmp_path: Path) -> None:
    for name, text in {
        "cli.py": "from .room import door\n",
        "room/__init__.py": "",
        "room/door.py": "def f():\n    from .inner import step\n",
        "room/inner/__init__.py": "from .step import go\n",
        "room/inner/step.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..door import f\n",
        "room/apart.py": "from . import door\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = module_graph(tmp_path, ["room"])
    assert graph[("cli",)] == {("room", "door")}
    assert graph[("room", "inner")] == {("room", "inner", "step")}
    assert circles(graph) == {frozenset({("room", "door"), ("room", "inner", "step")})}


def test_only_three_python_files_at_the_root() -> None:
    """Any other would be shipped in the wheel."""
    assert {p.name for p in ROOT.glob("*.py")} <= {"__init__.py", "cli.py", "errors.py"}


@pytest.mark.parametrize("room", [room for room in MAY_IMPORT if room not in ("flynet", "export")])
def test_room_imports_without_torch(room: str) -> None:
    modules = [".".join(("flynet_tiny", *p.relative_to(ROOT).with_suffix("").parts)) for p in files(room)]
    modules = [m.removesuffix(".__init__") for m in modules if not m.endswith("__main__")]
    script = f"import sys, importlib\n[importlib.import_module(m) for m in {modules!r}]\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_help_never_imports_torch() -> None:
    script = "import sys\nfrom flynet_tiny.cli import main\ntry:\n main(['export', '--help'])\nexcept SystemExit: pass\n"
    subprocess.run(
        [sys.executable, "-c", script + "assert 'torch' not in sys.modules"], check=True, timeout=60, capture_output=True
    )
