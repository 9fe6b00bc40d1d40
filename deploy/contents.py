"""What an output folder holds, checked: its files by their hashes, its version, its report, its own C, golden model and ELFs.

The folder may have been edited, cut short or made by somebody else: whatever is wrong is one line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .. import __version__
from ..codegen.build import LEVELS
from ..codegen.c_library import CLibrary
from ..codegen.compiler import Compiled, compile_tflite
from ..codegen.stack_bytes import without_stack_bytes
from ..codegen.targets import Placement, Target, get_target, place
from ..errors import BadData, OverBudget, UnknownTarget
from ..firmware.board import Board, board_for
from ..firmware.elf import require_whole_elf
from ..firmware.project import BuiltFirmware
from ..firmware.toolchain import ToolFailedError
from ..folders.manifest import MANIFEST, Kind, Manifest, Survey, find_manifest, survey
from ..folders.ownership import shown
from ..folders.regular_file import read_regular
from ..quoting import visible
from ..report.read_report import read_report
from ..report.schema import Minimisation, Report
from ..verify.host_c import HostLibrary
from .building import FIRMWARE_FOLDER, REAL_ADDRESS_BOARDS
from .console import Reporter
from .quantized_model import DeploymentPlan
from .usage_notes import with_usage_notes

_MOST_BYTES = 1 << 30
_WEIGHTS_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9_]*)_weights\.h")
_ANOTHER = "compile the model again"


@dataclass(frozen=True, eq=False)
class Contents:
    """An output folder as it is now: its model compiled again, but with the C files that lie in the folder.

    changed  files that are not as they were written, and those that are missing
    """

    folder: Path
    tflite: bytes
    compiled: Compiled
    plan: DeploymentPlan
    report: Report
    survey: Survey

    @property
    def target(self) -> Target:
        return self.plan.target

    @property
    def changed(self) -> tuple[str, ...]:
        return (*self.survey.changed, *(f"{path} (missing)" for path in self.survey.missing))

    def say_changed(self, reporter: Reporter) -> None:
        """Name what is not as it was written."""
        for path in self.changed:
            reporter.line("changed", visible(path))
        for path in self.survey.rebuilt:
            reporter.line("rebuilt", visible(path))

    def read(self, path: str) -> bytes:
        """A file of the folder."""
        return _read(self.folder, path)


def read_contents(folder: Path) -> Contents:
    """Read an output folder of this version; raises `BadData` naming what is missing, damaged or of another version."""
    manifest = _manifest(folder)
    try:
        found = survey(folder, manifest)
    except OSError as error:
        raise BadData(f"cannot read {shown(error.filename or folder)}: {error.strerror}") from error
    tflite = _read(folder, "model.tflite")
    if "model.tflite" in found.changed:
        raise BadData(f"{shown(folder)}/model.tflite was changed since the folder was made from it; {_ANOTHER}")
    report_name = f"{shown(folder)}/report.json"
    report = read_report(_read(folder, "report.json"), report_name)
    try:
        target = get_target(report.target.name)
    except UnknownTarget as error:
        raise BadData(f"{report_name} is damaged: {error}") from error
    if report.target.optimize not in LEVELS:
        raise BadData(f"{report_name} is damaged: it names no way to optimize")
    plan = DeploymentPlan(
        target, emulate=True, optimize=report.target.optimize, minimise=isinstance(report.minimisation, Minimisation)
    )
    compiled = compile_tflite(tflite, _library_name(folder, manifest), plan.build)
    made = with_usage_notes(compiled.library, report.model.pixels, report.model.class_names)
    library = _own_library(folder, made, found)
    return Contents(folder, tflite, replace(compiled, library=library), plan, report, found)


@contextmanager
def host_library(found: Contents) -> Iterator[HostLibrary]:
    """The folder's own C, compiled for the host; `BadData` when it no longer compiles."""
    with HostLibrary(found.compiled.library) as host:
        try:
            yield host
        except ToolFailedError as error:
            lines = [line for line in str(error).splitlines() if "error" in line] or str(error).splitlines()
            raise BadData(f"the C in {shown(found.folder)} does not compile any more: {lines[0]}; {_ANOTHER}") from error


def built_firmware(found: Contents) -> BuiltFirmware:
    """The ELFs of firmware/, as they lie in the folder."""
    name = found.compiled.library.name
    require_firmware(found)
    elf = _elf(found, f"{FIRMWARE_FOLDER}/{name}.elf", "all")
    harness = _elf(found, f"{FIRMWARE_FOLDER}/verify.elf", "verify")
    return BuiltFirmware(elf, harness, elf.parent / "build", board_for(found.target), _placement(found))


def other_firmware(found: Contents) -> tuple[BuiltFirmware, ...]:
    """The firmware beside the library, where it is another one than that in firmware/, and that for the chip's own addresses."""
    name = found.compiled.library.name
    firmware = [(f"{name}.elf", board_for(found.target))]
    if found.read(f"{name}.elf") == found.read(f"{FIRMWARE_FOLDER}/{name}.elf"):
        firmware = []
    board = REAL_ADDRESS_BOARDS.get(found.target.name)
    if board is not None and (found.folder / _project(board)).is_dir():
        firmware.append((f"{_project(board)}/{name}.elf", board))
    elfs = ((_elf(found, path, "all"), board) for path, board in firmware)
    return tuple(BuiltFirmware(elf, None, elf.parent / "build", board, _placement(found)) for elf, board in elfs)


def require_firmware(found: Contents) -> None:
    """`BadData` for a folder whose network does not fit, which holds none."""
    if not found.report.fits:
        raise BadData(f"{shown(found.folder)} holds no firmware: the network does not fit {found.target.name}")


def _manifest(folder: Path) -> Manifest:
    name = shown(folder)
    if not folder.is_dir():
        raise BadData(f"{name} is not an output folder of ours: it {'is not a folder' if folder.exists() else 'does not exist'}")
    manifest = find_manifest(folder)
    if manifest is None:
        has_report = (folder / "report.json").is_file()
        former = f"; an older flynet-tiny may have made it: {_ANOTHER}" if has_report else ""
        raise BadData(f"{name} is not an output folder of ours: it has no {MANIFEST}{former}")
    if manifest.kind is not Kind.NETWORK:
        raise BadData(f"{name} is not an output folder of a network: it holds another result ({manifest.kind.value})")
    if manifest.version != __version__:
        raise BadData(
            f"{name} was made by flynet-tiny {manifest.version}, this is {__version__}, which makes other C of the same model; "
            f"{_ANOTHER}, or use that version"
        )
    return manifest


def _read(folder: Path, path: str) -> bytes:
    try:
        return read_regular(folder / path, _MOST_BYTES)
    except FileNotFoundError as error:
        raise BadData(f"{shown(folder)} lacks {path}; {_ANOTHER}") from error
    except OSError as error:
        raise BadData(f"cannot read {shown(folder / path)}: {error.strerror}") from error


def _library_name(folder: Path, manifest: Manifest) -> str:
    found = [match.group(1) for path in manifest.files if (match := _WEIGHTS_HEADER.fullmatch(path))]
    if len(found) != 1:
        raise BadData(f"{shown(folder)} holds no generated C library; {_ANOTHER}")
    return found[0]


def _own_library(folder: Path, made: CLibrary, found: Survey) -> CLibrary:
    """The library with the folder's own files. A file that nobody changed and that we write otherwise is another build's."""
    files = {}
    for name, text in made.files.items():
        try:
            files[name] = _read(folder, name).decode()
        except UnicodeDecodeError as error:
            raise BadData(f"{shown(folder)}/{name} is not text any more; {_ANOTHER}") from error
        if without_stack_bytes(files[name]) != text and name not in found.changed:
            raise BadData(
                f"{shown(folder)} was made by another build of flynet-tiny {__version__} or of another model: nobody changed "
                f"{name}, and this build writes it otherwise; {_ANOTHER}"
            )
    return replace(made, files=files)


def _project(board: Board) -> str:
    return f"{FIRMWARE_FOLDER}-{board.machine}"


def _elf(found: Contents, path: str, goal: str) -> Path:
    """An ELF of the folder, whole."""
    elf = found.folder / path
    if not elf.is_file():
        project = elf.parent if "/" in path else found.folder / FIRMWARE_FOLDER
        raise BadData(f"{shown(elf)} is missing; build it with: make -C {shlex.quote(shown(project))} {goal}")
    require_whole_elf(found.read(path), shown(elf))
    return elf


def _placement(found: Contents) -> Placement:
    ram = found.report.ram
    if ram.stack_bytes is None or ram.static_bytes is None:
        raise BadData(f"{shown(found.folder)}/report.json is damaged: it fits, and has no stack or statics")
    try:
        return place(found.target, ram.arena_bytes, ram.stack_bytes, ram.static_bytes)
    except OverBudget as error:
        raise BadData(f"{shown(found.folder)}/report.json is damaged: it fits, and {error}") from error
