"""The wheel: one import name, all data files, and a console script that works from any folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the files that git tracks, as a clone has them."""
    folder = tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(folder / "source"),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    (found,) = folder.glob("*.whl")
    return found


def test_wheel_holds_one_package_with_all_its_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"flynet_tiny"}
    assert not any("tests/" in name for name in names)
    rooms = ("flynet", "export", "codegen", "firmware_templates", "verify", "report", "bench", "deploy")
    suffixes = {".py", ".j2", ".json", ".c", ".h", ".S"}
    for room in rooms:
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts:
                assert f"flynet_tiny/{path.relative_to(ROOT).as_posix()}" in names


def test_installed_wheel_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """Installed into a folder of its own, without the checkout on the path; dependencies come from this environment."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True, timeout=300)
    script = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in type(f).__module__ + repr(f)]\n"
        "import flynet_tiny\n"
        f"assert flynet_tiny.__file__.startswith({str(site)!r}), flynet_tiny.__file__\n"
        "from flynet_tiny.cli import main\n"
        "main(['compile', 'net.tflite', '--target', 'stm32f412', '--out', 'out'])\n"
    )
    from .small_models import mdw_max_out

    (tmp_path / "net.tflite").write_bytes(mdw_max_out())
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "0 differing" in done.stdout
    assert (tmp_path / "out" / "net.elf").is_file()
    assert (site / "bin" / "flynet-tiny").is_file()
