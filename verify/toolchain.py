"""The external programs that build and run firmware: found on the PATH, or `MissingTool` with the command that installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from ..errors import MissingTool


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


class RunningTool:
    """A program that was started, and speaks English.

    `wait` returns what it printed, or raises `ToolFailedError` with that, also when called again.
    """

    def __init__(self, command: Sequence[str | Path], folder: Path):
        self._name = Path(str(command[0])).name
        self._process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        self._output: str | None = None

    def wait(self, timeout_s: float = 600) -> str:
        if self._output is None:
            self._output, _ = self._process.communicate(timeout=timeout_s)
        if self._process.returncode != 0:
            raise ToolFailedError(f"{self._name} failed ({self._process.returncode}):\n{self._output}".rstrip())
        return self._output

    def kill(self) -> None:
        """End it if it still runs."""
        if self._output is None:
            self._process.kill()
            self._output, _ = self._process.communicate()


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
