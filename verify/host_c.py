"""The C library on the host: the same source over portable intrinsics, in a process of its own, every tensor brought home."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from ..codegen.c_library import CLibrary
from ..errors import EmulationFailed
from ..firmware.templates import write_rendered
from ..firmware.toolchain import Tool, child_process, find_tool, require_room, start_tool
from ..folders.scratch import ScratchFolder
from .harness import InputSet, Request, SetResult, read_result, write_request

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
_WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")


class HostLibrary:
    """A compiled library, used as a context manager. The arena lies between two guards that are checked after every operator.

    The compiler starts at once and is waited for at the first run, so that other work can go on beside it.
    Runs raise `EmulationFailed` when a guard was written, a sanitizer spoke or the program died.
    """

    def __init__(self, library: CLibrary, cflags: Sequence[str] = (), sanitize: bool = False):
        self.library = library
        self.name = "C on the host"
        self._scratch = ScratchFolder()
        folder = self._scratch.path
        for name, text in library.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        values = {
            "name": library.name,
            "macro": library.name.upper(),
            "input_bytes": library.input_bytes,
            "output_bytes": library.output_bytes,
            "state_bytes": library.state_bytes,
        }
        for name in ("verify.c.j2", "verify_port.h", "verify_port_host.c"):
            write_rendered(f"verify/{name}", folder, values)
        sources = sorted(path.name for path in folder.glob("*.c"))
        flags = [*_WARNINGS, "-O2", *(SANITIZERS if sanitize else ()), f"-D{library.name.upper()}_TRACE", *cflags]
        self._program = folder / "program"
        self._compiler = start_tool([find_tool(Tool.HOST_COMPILER), *flags, *sources, "-o", self._program], folder)

    def __enter__(self) -> HostLibrary:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Remove the compiled program."""
        self._compiler.kill()
        self._scratch.close()

    def run(self, inputs: InputSet) -> SetResult:
        """Every tensor that the C materialises from one set of inputs."""
        return self.run_many([inputs])[0]

    def run_many(
        self, inputs: Sequence[InputSet], trace: bool = True, timeout_s: float = 300, begins: Sequence[bool] = ()
    ) -> tuple[SetResult, ...]:
        """One result for each set of inputs, all from one process; without `trace` only the outputs.

        begins  of each set, whether a library with state is reset before it; empty: before every one
        """
        self._compiler.wait()
        request = Request(trace=trace)
        with self._run_folder() as folder:
            write_request(folder, self.library, inputs, request, begins)
            with child_process(
                [self._program], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace",
            ) as process:  # fmt: skip
                try:
                    said, _ = process.communicate(timeout=timeout_s)
                except subprocess.TimeoutExpired as error:
                    raise EmulationFailed(f"{self.library.name} on the host did not end within {timeout_s:g} s") from error
            if process.returncode != 0:
                require_room(process.returncode, said)
                raise EmulationFailed(f"{self.library.name} on the host failed ({process.returncode}): {_last_words(said)}")
            return read_result(folder, self.library, len(inputs), request)

    @contextmanager
    def _run_folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="run-", dir=self._scratch.path) as folder:
            yield Path(folder)


def _last_words(text: str) -> str:
    """The line that names the problem: ours, a sanitizer's, or the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("fault: ") or "runtime error" in line or "ERROR: AddressSanitizer" in line:
            return line.removeprefix("fault: ")
    return lines[-1] if lines else "no message"
