"""The C library and the firmware in the output folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..codegen.c_library import CLibrary
from ..codegen.stack_bytes import with_stack_bytes
from ..firmware.board import NETDUINOPLUS2, Board
from ..firmware.project import FittedFirmware, fit_firmware, output_hash, self_test_inputs
from ..verify.host_c import HostLibrary
from .quantized_model import DeploymentPlan

FIRMWARE_FOLDER = "firmware"
REAL_ADDRESS_BOARDS = {"stm32f405": NETDUINOPLUS2}  # chips that QEMU emulates at their own addresses


def write_library(library: CLibrary, folder: Path) -> None:
    """The C files, as a user adds them to a project."""
    for name, text in library.files.items():
        (folder / name).write_text(text, encoding="utf-8")


def link(library: CLibrary, plan: DeploymentPlan, folder: Path, host: HostLibrary, board: Board | None = None) -> FittedFirmware:
    """Write and build a project around the library's files in `folder`, with exactly the stack and statics it needs.

    The project is `folder`/firmware, or for a board that is not the core's usual one `folder`/firmware-<board>.
    The self-test expects what the C computes on the host, which the judges compare with the golden model. Raises `OverBudget`,
    and then leaves no firmware.
    """
    project = folder / (FIRMWARE_FOLDER if board is None else f"{FIRMWARE_FOLDER}-{board.machine}")

    def expected_hash() -> int:
        steps = self_test_inputs(library)
        results = host.run_many(steps, trace=False, begins=[step == 0 for step in range(len(steps))])
        return output_hash(library, [result.outputs for result in results])

    try:
        return fit_firmware(
            library, plan.target, project, expected_hash, board=board, library_folder="..",
            optimization=plan.build.level.compiler_flag,
        )  # fmt: skip
    except BaseException:
        shutil.rmtree(project, ignore_errors=True)
        raise


def write_stack_bytes(library: CLibrary, linked: FittedFirmware, folder: Path) -> None:
    """Complete the header in `folder` with what linking has found out; the code stays the same."""
    header = f"{library.name}.h"
    completed = with_stack_bytes(library, linked.invoke_stack_bytes, linked.built_with)
    (folder / header).write_text(completed.files[header], encoding="utf-8")


def tidy(linked: FittedFirmware) -> None:
    """Keep the ELFs, drop the objects: the project builds again with one `make`."""
    shutil.rmtree(linked.firmware.objects, ignore_errors=True)


def copy_elf(linked: FittedFirmware, folder: Path) -> None:
    """The firmware beside the library, where a user looks for it."""
    shutil.copy2(linked.firmware.elf, folder / linked.firmware.elf.name)
