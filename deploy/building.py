"""Placing and linking: twice, since the true stack and statics are known only after the first link."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..codegen.c_library import CLibrary
from ..codegen.targets import Placement, Target, place, require_flash
from ..report.elf import ElfInfo, read_elf
from ..verify.firmware import BuiltFirmware, build_firmware, output_hash, self_test_inputs, write_firmware
from ..verify.host_c import HostLibrary
from ..verify.stack import stack_bound

FIRST_GUESS_STACK_BYTES = 2048
FIRST_GUESS_STATIC_BYTES = 256
FIRMWARE_FOLDER = "firmware"


@dataclass(frozen=True)
class Linked:
    """A firmware as it was linked: the ELF's sections, and the static bound of its stack (None when there is none)."""

    firmware: BuiltFirmware
    elf: ElfInfo
    placement: Placement
    stack_bound_bytes: int | None


def write_library(library: CLibrary, folder: Path) -> None:
    """The C files, as a user adds them to a project."""
    for name, text in library.files.items():
        (folder / name).write_text(text, encoding="utf-8")


def link(library: CLibrary, target: Target, folder: Path, host: HostLibrary) -> Linked:
    """Write and build the firmware project in `folder`/firmware, with exactly the stack and statics that it needs.

    The self-test expects what the C computes on the host, which the judges compare with the golden model. Raises `OverBudget`.
    """
    expected = output_hash(library, host.run(self_test_inputs(library)).outputs)
    guess = place(target, library.arena_bytes, FIRST_GUESS_STACK_BYTES, FIRST_GUESS_STATIC_BYTES)
    first = _build(library, guess, folder, expected, verify=False)
    bound = stack_bound(first).bound_bytes
    stack = FIRST_GUESS_STACK_BYTES if bound is None else bound
    placement = place(target, library.arena_bytes, stack, read_elf(first.elf).static_bytes)
    final = _build(library, placement, folder, expected, verify=True)
    elf = read_elf(final.elf)
    require_flash(target, elf.flash_bytes)
    return Linked(final, elf, placement, bound)


def _build(library: CLibrary, placement: Placement, folder: Path, expected_hash: int, *, verify: bool) -> BuiltFirmware:
    project = folder / FIRMWARE_FOLDER
    board = write_firmware(library, placement, project, expected_hash, library_folder="..")
    return build_firmware(project, library, placement, board, verify=verify)


def tidy(linked: Linked, folder: Path) -> None:
    """Keep the ELFs, drop the objects: the project builds again with one `make`."""
    shutil.rmtree(linked.firmware.objects, ignore_errors=True)
    shutil.copy2(linked.firmware.elf, folder / linked.firmware.elf.name)
