"""The external programs that build and run firmware: found on the PATH, or `MissingTool` with the command that installs them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from ..errors import MissingTool, OutputFailed
from ..folders.scratch import ScratchFolder
from ..processes.interruption import shielded


class Tool(Enum):
    """Programs that we call, by their usual names."""

    CROSS_COMPILER = "arm-none-eabi-gcc"
    EMULATOR = "qemu-system-arm"
    MAKE = "make"
    HOST_COMPILER = "cc"

    @property
    def names(self) -> tuple[str, ...]:
        return {Tool.MAKE: ("make", "gmake"), Tool.HOST_COMPILER: ("cc", "gcc", "clang")}.get(self, (self.value,))

    @property
    def install(self) -> str:
        packages = {
            Tool.CROSS_COMPILER: "gcc-arm-none-eabi libnewlib-arm-none-eabi",
            Tool.EMULATOR: "qemu-system-arm",
            Tool.MAKE: "make",
            Tool.HOST_COMPILER: "gcc libc6-dev",
        }
        return f"apt-get install {packages[self]}"


# how tools say that their files do not fit: compilers and linkers, the C library's and the shell's words, our own harnesses'
_NO_ROOM = re.compile(
    r"No space left on device|File too large|File size limit exceeded|Disk quota exceeded|Read-only file system"
    r"|the result could not be written|the host took less than the result"
)


def require_room(code: int, output: str) -> None:
    """Raise `OutputFailed` when a program failed because its files, temporary or not, could not be written."""
    found = _NO_ROOM.search(output)
    if code == -signal.SIGXFSZ or (code != 0 and found is not None):
        reason = "File too large" if found is None else found.group()
        place = f"{tempfile.gettempdir()} (or set TMPDIR)"
        raise OutputFailed(f"a tool cannot write its files: {reason}; nothing was kept; make room for them, and in {place}")


class ToolFailedError(RuntimeError):
    """A program that ended with an error: a bug of ours, since users write none of its input."""


def find_tool(tool: Tool) -> Path:
    """The program's path; raises `MissingTool` when none of its names is on the PATH."""
    for name in tool.names:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise MissingTool(tool.names[0], tool.install)


def require_tools(*tools: Tool) -> None:
    """Raise `MissingTool` for the first program that is not there."""
    for tool in tools:
        find_tool(tool)


@contextmanager
def child_process(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A program with the options of `subprocess.Popen`, which is dead when the body ends, however it ends.

    It leads a group of its own, so that what it starts dies with it, and an interruption comes before it or after it.
    """
    process: subprocess.Popen[Any] | None = None
    try:
        with shielded():
            process = subprocess.Popen([str(word) for word in command], process_group=0, **options)
        yield process
    finally:
        if process is not None:
            end_group(process)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kill a child that leads a group, with its group, unless it has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class RunningTool:
    """A program that was started, and speaks English. What it starts in turn ends with it; its temporary files go with it.

    `wait` returns what it printed, or raises `ToolFailedError` with that, also when called again.
    """

    def __init__(self, command: Sequence[str | Path], folder: Path):
        self._name = Path(str(command[0])).name
        self._output: str | None = None
        with contextlib.ExitStack() as resources:
            scratch = resources.enter_context(ScratchFolder())
            self._process = resources.enter_context(
                child_process(
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                    errors="replace", env={**os.environ, "LC_ALL": "C", "TMPDIR": str(scratch)},
                )
            )  # fmt: skip
            self._resources = resources.pop_all()

    def wait(self, timeout_s: float = 600) -> str:
        if self._output is None:
            self._output, _ = self._process.communicate(timeout=timeout_s)
            self._resources.close()
        if self._process.returncode != 0:
            require_room(self._process.returncode, self._output)
            raise ToolFailedError(f"{self._name} failed ({self._process.returncode}):\n{self._output}".rstrip())
        return self._output

    def kill(self) -> None:
        """End it if it still runs, with all that it started."""
        if self._output is None:
            end_group(self._process)
            self._output, _ = self._process.communicate()
            self._resources.close()


def start_tool(command: Sequence[str | Path], folder: Path) -> RunningTool:
    """Start a program in a folder and go on."""
    return RunningTool(command, folder)


def run_tool(command: Sequence[str | Path], folder: Path, timeout_s: float = 600) -> str:
    """Run a program in a folder and return what it printed; raises `ToolFailedError` with its messages when it fails."""
    tool = start_tool(command, folder)
    try:
        return tool.wait(timeout_s)
    finally:
        tool.kill()
