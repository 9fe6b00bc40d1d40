"""The firmware project of a C library on a chip: its files, and the ELFs that its Makefile builds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..codegen.build import BALANCED
from ..codegen.c_library import CLibrary
from ..codegen.targets import Placement, Target, place, too_much_flash
from ..errors import OverBudget
from .board import (
    ICOUNT_SHIFT,
    Board,
    board_for,
    harness_mpu_entries,
    map_memory,
    mpu_entries,
    require_mpu_fits,
)
from .elf import ElfInfo, read_elf
from .stack import stack_bound_bytes
from .templates import write_if_changed, write_rendered
from .toolchain import Tool, ToolFailedError, find_tool, require_tools, run_tool

OPTIMIZATION = BALANCED.compiler_flag
SELF_TEST_SEED = 1
SELF_TEST_SEQUENCE = 8  # steps of a library with state
_HARNESS_STACK_BYTES = 16 * 1024
_DRAFT_STACK_BYTES = 64
_LINKER_NAMES = ("RAM", "RAM_ARENA")
_COMMON = (
    "board.h", "console.c", "console.h", "faults.c", "faults.h", "mpu.c", "mpu.h", "semihosting.h",
    "stack.c", "stack.h", "startup.c", "main.c.j2", "memory_map.h.j2", "Makefile.j2",
)  # fmt: skip

Values = npt.NDArray[np.integer]


@dataclass(frozen=True)
class BuiltFirmware:
    """The ELFs of a project and where its compiler left stack usage and call graphs.

    verify_elf is None on boards without a harness.
    """

    elf: Path
    verify_elf: Path | None
    objects: Path
    board: Board
    placement: Placement


@dataclass(frozen=True)
class FittedFirmware:
    """A firmware whose placement reserves what its ELF needs: the stack's static bound, and the statics as linked.

    invoke_stack_bytes  the part of the stack's bound that `<name>_invoke` takes, with all that it calls
    built_with          the compiler and the flags that decide over stack and code
    """

    firmware: BuiltFirmware
    elf_info: ElfInfo
    stack_bound_bytes: int
    invoke_stack_bytes: int
    built_with: str

    @property
    def placement(self) -> Placement:
        return self.firmware.placement


def self_test_inputs(library: CLibrary, seed: int = SELF_TEST_SEED) -> tuple[Mapping[str, Values], ...]:
    """The inputs that the firmware's self-test generates for itself, flat, step by step: twin of `fill_inputs` in `main.c.j2`.

    The steps of a library with state are one sequence; without state there is one step.
    """
    state = seed
    steps = []
    for _ in range(_self_test_steps(library)):
        inputs = {}
        for port in library.inputs:
            samples = np.empty(port.size_bytes, np.uint8)
            for i in range(port.size_bytes):
                state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
                samples[i] = state >> 56
            inputs[port.name] = samples.view(port.element)
        steps.append(inputs)
    return tuple(steps)


def _self_test_steps(library: CLibrary) -> int:
    return SELF_TEST_SEQUENCE if library.state_bytes else 1


def output_hash(library: CLibrary, steps: Sequence[Mapping[str, Values]]) -> int:
    """FNV-1a, 32 bits, over all outputs of all steps in order: the twin of `hash_outputs` in `main.c.j2`."""
    value = 2166136261
    for outputs in steps:
        for port in library.outputs:
            for byte in np.ascontiguousarray(outputs[port.name]).tobytes():
                value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def write_firmware(
    library: CLibrary,
    placement: Placement,
    folder: Path,
    expected_hash: int,
    *,
    board: Board | None = None,
    library_folder: str | None = None,
    optimization: str = OPTIMIZATION,
) -> Board:
    """Write a project that `make` builds into `<name>.elf` (and `make verify` into `verify.elf`); returns its board.

    expected_hash   `output_hash` of what the verified model computes from `self_test_inputs`
    board           `board_for` the chip's core, unless another one is wanted
    library_folder  where the library's files already are, relative to `folder`; without it they are written to `folder/model`
    """
    board = board or board_for(placement.target)
    folder.mkdir(parents=True, exist_ok=True)
    if library_folder is None:
        library_folder = "model"
        (folder / library_folder).mkdir(exist_ok=True)
        for name, text in library.files.items():
            write_if_changed(folder / library_folder / name, text)
    values = _values(library, placement, board, expected_hash, library_folder, optimization)
    for name in _COMMON:
        write_rendered(f"common/{name}", folder, values)
    write_rendered(f"{board.folder}/board.c.j2", folder, values)
    write_rendered("common/firmware.ld.j2", folder, {**values, "verify": False})
    if board.has_harness:
        write_rendered("common/firmware.ld.j2", folder, {**values, "verify": True}, "verify.ld")
        for name in ("verify.c.j2", "verify_port.h", "verify_port_board.c.j2", "verify_switch.S.j2"):
            write_rendered(f"verify/{name}", folder, values)
    return board


def _values(
    library: CLibrary, placement: Placement, board: Board, expected_hash: int, library_folder: str, optimization: str
) -> Mapping[str, object]:
    memory = map_memory(board, placement)
    mpu, verify_mpu = mpu_entries(board, memory), harness_mpu_entries(board)
    require_mpu_fits([*mpu, *verify_mpu])
    ram = [
        {"name": w.name, "base": w.base, "end": w.end, "size_bytes": w.size_bytes, "linker_name": linker_name}
        for w, linker_name in zip(memory.ram, _LINKER_NAMES, strict=False)
    ]
    return {
        "name": library.name,
        "macro": library.name.upper(),
        "target": placement.target,
        "board": board,
        "flash": memory.flash,
        "ram": ram,
        "mapping": memory.lines,
        "mpu": mpu,
        "verify_mpu": verify_mpu,
        "harness_rom": board.harness_rom,
        "harness_ram": board.harness_ram,
        "harness_stack_bytes": _HARNESS_STACK_BYTES,
        "stack_bytes": placement.stack.size_bytes,
        "stack_memory": ram[0]["linker_name"],
        "arena_memory": ram[-1]["linker_name"],
        "input_bytes": library.input_bytes,
        "output_bytes": library.output_bytes,
        "state_bytes": library.state_bytes,
        "self_test_seed": SELF_TEST_SEED,
        "self_test_steps": _self_test_steps(library),
        "expected_hash": expected_hash,
        "library_dir": library_folder,
        "optimization": optimization,
        "icount_shift": ICOUNT_SHIFT,
    }


def build_firmware(folder: Path, library: CLibrary, placement: Placement, board: Board, *, verify: bool = True) -> BuiltFirmware:
    """Build a project with its own Makefile; raises `OverBudget` when it does not link into the chip's memories.

    verify: build the verification harness too, where the board has one.
    """
    require_tools(Tool.CROSS_COMPILER, Tool.MAKE)
    verify = verify and board.has_harness
    goals = ["all", "verify"] if verify else ["all"]
    cross = str(find_tool(Tool.CROSS_COMPILER)).removesuffix("gcc")
    try:
        run_tool([find_tool(Tool.MAKE), "-s", f"-j{os.cpu_count() or 1}", f"CROSS={cross}", *goals], folder)
    except ToolFailedError as error:
        overflow = _overflow(str(error), placement.target, library.optimize)
        if overflow is None:
            raise
        raise overflow from error
    elf = folder / f"{library.name}.elf"
    return BuiltFirmware(elf, folder / "verify.elf" if verify else None, folder / "build", board, placement)


def _built_with(target: Target, optimization: str, folder: Path) -> str:
    compiler = find_tool(Tool.CROSS_COMPILER)
    version = run_tool([compiler, "-dumpfullversion"], folder).strip()
    return " ".join((Tool.CROSS_COMPILER.value, version, *target.gcc_flags, optimization))


def _overflow(messages: str, target: Target, optimize: str) -> OverBudget | None:
    """The linker's "region `FLASH' overflowed by 12 bytes", in our words."""
    found = re.search(r"region [`'](\w+)' overflowed by (\d+) bytes", messages)
    if found is None:
        return None
    memory, excess_bytes = found.group(1), int(found.group(2))
    if memory == "FLASH":
        return too_much_flash(target, target.flash_bytes + excess_bytes, optimize)
    return OverBudget(
        f"stack, statics and arena are {excess_bytes:,} B too large for the RAM of {target.name}; try a smaller network"
    )


def fit_firmware(
    library: CLibrary,
    target: Target,
    folder: Path,
    expected_hash: int | Callable[[], int],
    *,
    board: Board | None = None,
    library_folder: str | None = None,
    optimization: str = OPTIMIZATION,
    verify: bool = True,
) -> FittedFirmware:
    """Write and build a firmware that reserves exactly what it needs; raises `OverBudget` when the chip has less.

    Links once with hardly any stack to learn the statics and the stack's bound, then links again with both in their places.
    A function as `expected_hash` is called after the compiler's work, and may wait for other work that goes on meanwhile.
    """
    board = board or board_for(target)
    target = board.visible(target)

    def build(stack_bytes: int, static_bytes: int, output: int) -> BuiltFirmware:
        placement = place(target, library.arena_bytes, stack_bytes, static_bytes)
        write_firmware(library, placement, folder, output, board=board, library_folder=library_folder, optimization=optimization)
        return build_firmware(folder, library, placement, board, verify=verify)

    draft = build(_DRAFT_STACK_BYTES, 0, 0)
    stack_bytes, invoke_bytes = stack_bound_bytes(draft, f"{library.name}_invoke")
    static_bytes = read_elf(draft.elf).static_bytes
    for elf in (draft.elf, draft.verify_elf):  # they must not be taken for the firmware when that does not fit
        if elf is not None:
            elf.unlink()
    fitted = build(stack_bytes, static_bytes, expected_hash if isinstance(expected_hash, int) else expected_hash())
    return FittedFirmware(fitted, read_elf(fitted.elf), stack_bytes, invoke_bytes, _built_with(target, optimization, folder))
