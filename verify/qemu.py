"""Firmware in QEMU: the verification harness fed with inputs, and the firmware's own self-test."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..codegen.c_library import CLibrary
from ..errors import EmulationFailed
from ..firmware.board import ICOUNT_SHIFT, Board
from ..firmware.elf import function_at
from ..firmware.project import BuiltFirmware
from ..firmware.toolchain import Tool, child_process, find_tool, require_room
from ..folders.scratch import ScratchFolder
from .harness import RESULT, InputSet, Request, SetResult, header_bytes, read_result, set_bytes, write_request

Progress = Callable[[int, int], None]
_POLL_S = 0.05
_EXIT_SELF_TEST_FAILED = 10  # of board.h; QEMU's own failures are 1


@dataclass(frozen=True, eq=False)
class EmulatedRun:
    """What the emulated board computed, one result for each set of inputs.

    stack_bytes           the deepest that `<name>_invoke` went, over all inputs
    instructions_per_op   of the first set of inputs, when counted; exact and the same on every run
    """

    sets: tuple[SetResult, ...]

    @property
    def stack_bytes(self) -> int:
        return max(result.stack_bytes for result in self.sets)

    @property
    def instructions_per_op(self) -> tuple[int, ...] | None:
        return self.sets[0].op_instructions

    @property
    def total_instructions(self) -> int | None:
        counts = self.instructions_per_op
        return None if counts is None else sum(counts)


@dataclass(frozen=True)
class SelfTest:
    """What the firmware said of itself."""

    passed: bool
    output: str
    stack_bytes: int
    instructions: int | None


def run_emulated(
    firmware: BuiltFirmware,
    library: CLibrary,
    inputs: Sequence[InputSet],
    *,
    trace: bool = True,
    count: bool = True,
    begins: Sequence[bool] = (),
    timeout_s: float = 120,
    progress: Progress | None = None,
) -> EmulatedRun:
    """Run the library on the emulated board, for every set of inputs.

    trace      bring home every tensor that the C materialises, not only the outputs
    count      count the instructions of every operator for the FIRST set of inputs (QEMU counts slower than it runs)
    begins     of each set, whether a library with state is reset before it; empty: before every one
    progress   called with (sets done, sets in all)
    Raises `EmulationFailed` with the decoded fault, or when a run takes more than timeout_s.
    """
    if firmware.verify_elf is None:
        raise ValueError(f"{firmware.board.machine} has no verification harness")

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(inputs))

    report(0)
    counted: tuple[SetResult, ...] = ()
    if count and inputs:
        counted = _run_batch(firmware, library, inputs[:1], (), Request(trace, count=True), timeout_s, report)
    done = 0 if library.state_bytes else len(counted)  # what keeps state must run all sets in one piece
    results = counted[:done]
    if len(inputs) > len(counted):
        results += _run_batch(
            firmware, library, inputs[done:], begins[done:], Request(trace), timeout_s, lambda more: report(done + more)
        )
        results = (replace(results[0], op_instructions=counted[0].op_instructions), *results[1:]) if counted else results
    return EmulatedRun(results or counted)


def run_self_test(firmware: BuiltFirmware, *, count: bool = True, timeout_s: float = 60) -> SelfTest:
    """Run the firmware as a user would; its verdict, stack and, on boards that can, the instructions of one inference."""
    with ScratchFolder() as scratch:
        code, output = _run_qemu(firmware.elf, firmware.board, scratch, timeout_s, count, lambda: None)
    if code not in (0, _EXIT_SELF_TEST_FAILED):
        raise EmulationFailed(_explain(output, firmware.elf, code))
    stack = re.search(r"^stack (\d+) of", output, re.MULTILINE)
    instructions = re.search(r"^instructions (\d+)$", output, re.MULTILINE)
    passed = code == 0 and re.search(r"^PASS$", output, re.MULTILINE) is not None
    return SelfTest(passed, output, int(stack.group(1)) if stack else 0, int(instructions.group(1)) if instructions else None)


def _run_batch(
    firmware: BuiltFirmware,
    library: CLibrary,
    inputs: Sequence[InputSet],
    begins: Sequence[bool],
    request: Request,
    timeout_s: float,
    report: Callable[[int], None],
) -> tuple[SetResult, ...]:
    assert firmware.verify_elf is not None
    with ScratchFolder() as folder:
        write_request(folder, library, inputs, request, begins)
        result, each = folder / RESULT, set_bytes(library, request)

        def poll() -> None:
            size = result.stat().st_size if result.exists() else 0
            report(min(len(inputs), max(0, size - header_bytes()) // each))

        code, output = _run_qemu(firmware.verify_elf, firmware.board, folder, timeout_s, request.count, poll)
        if code != 0:
            raise EmulationFailed(_explain(output, firmware.verify_elf, code))
        results = read_result(folder, library, len(inputs), request)
    report(len(inputs))
    return results


def _run_qemu(elf: Path, board: Board, folder: Path, timeout_s: float, count: bool, poll: Callable[[], None]) -> tuple[int, str]:
    """The exit code that the firmware gave and all that it and QEMU printed."""
    semihosting = "enable=on,target=native,arg=firmware" + (",arg=+icount" if count else "")
    command = [
        str(find_tool(Tool.EMULATOR)), "-M", board.machine, "-display", "none", "-monitor", "none", "-serial", board.serial,
        "-semihosting-config", semihosting, "-kernel", str(elf.absolute()),
    ]  # fmt: skip
    if count:
        command += ["-icount", f"shift={ICOUNT_SHIFT}"]
    deadline = time.monotonic() + timeout_s
    log = folder / "qemu.log"
    with (
        log.open("wb") as output,
        child_process(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        while True:
            try:
                code = process.wait(_POLL_S)
                break
            except subprocess.TimeoutExpired:
                poll()
            if time.monotonic() > deadline:
                raise EmulationFailed(f"the emulated board did not end within {timeout_s:g} s")
    text = log.read_text(errors="replace")
    require_room(code, text)
    return code, text


def _explain(output: str, elf: Path, code: int) -> str:
    """The firmware's one-line fault, with the function that its pc lies in."""
    found = re.search(r"^fault: (.*)$", output, re.MULTILINE)
    if found is None:
        words = [line for line in output.splitlines() if line.strip()]
        complaints = [line for line in words if line.startswith("qemu")]
        return f"the emulated board ended with code {code}: {(complaints or words or ['no message'])[0]}"
    pc = re.search(r"pc (0x[0-9a-f]{8})", found.group(1))
    function = function_at(elf, int(pc.group(1), 16)) if pc else None
    return f"the emulated board faulted: {found.group(1)}" + (f", in {function}" if function else "")
