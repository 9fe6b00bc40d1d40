"""Signals, full disks and odd names, through the whole command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flynet_tiny.errors import OutputFailed
from flynet_tiny.firmware.toolchain import ToolFailedError, run_tool
from flynet_tiny.folders.scratch import MARKER, ScratchFolder, sweep
from flynet_tiny.verify.litert import LiteRtProcess

from .small_models import mdw_max_out

COMPILE = ("compile", "net.tflite", "--target", "stm32f412", "--out")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """work/ with net.tflite, tools/ to put wrappers in, tmp/ for temporary files."""
    for name in ("work", "tools", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "work" / "net.tflite").write_bytes(mdw_max_out())
    return tmp_path / "work"


def heed_signals() -> None:
    """In a child: what nohup or a background job ignores would be ignored there too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(work: Path, *arguments: str, preexec_fn: Callable[[], object] = heed_signals) -> subprocess.Popen[str]:
    root = work.parent
    environment = {**os.environ, "PATH": f"{root / 'tools'}:{os.environ['PATH']}", "TMPDIR": str(root / "tmp")}
    command = [sys.executable, "-m", "flynet_tiny.cli", *arguments]
    return subprocess.Popen(
        command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="surrogateescape",
        preexec_fn=preexec_fn,
    )  # fmt: skip


def ends(process: subprocess.Popen[str], code: int, *words: str) -> str:
    """One line, the right exit code, no traceback."""
    output, errors = process.communicate(timeout=240)
    assert process.returncode == code, errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == (code != 0), errors
    assert "Traceback" not in errors
    assert all(word in lines[0] for word in words)
    return output + errors


def leftovers(work: Path) -> set[str]:
    """Of ours and of the tools we call; libraries keep caches of their own."""
    beside = {path.name for path in work.iterdir()} - {"net.tflite"}
    return beside | {path.name for path in (work.parent / "tmp").iterdir() if path.name.startswith(("flynet-tiny-", "cc"))}


def wrap(work: Path, tool: str, script: str) -> None:
    """A program before the real one on the PATH; `$REAL` is that."""
    path = work.parent / "tools" / tool
    path.write_text(f"#!/bin/sh\nREAL={shutil.which(tool)}\n{script}\n")
    path.chmod(0o755)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("tool", "number", "code"),
    [
        ("arm-none-eabi-gcc", signal.SIGTERM, 143),
        ("cc", signal.SIGHUP, 129),
        ("qemu-system-arm", signal.SIGTERM, 143),
        pytest.param("qemu-system-arm", signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_cleans_up_and_ends_the_tools(work: Path, tool: str, number: signal.Signals, code: int) -> None:
    note = work.parent / "pids"
    wrap(work, tool, f'echo $$ >> "{note}"\nsleep 600 & echo $! >> "{note}"\nwait' if tool != "qemu-system-arm" else
         f'echo $$ >> "{note}"\nexec sleep 600')  # fmt: skip
    process = start(work, *COMPILE, "out")
    wait_for(note.exists)
    wait_for(lambda: note.read_text().endswith("\n"))
    process.send_signal(number)
    ends(process, code, "interrupted")
    assert leftovers(work) == set()
    pids = [int(line) for line in note.read_text().split()]
    wait_for(lambda: not any(is_running(pid) for pid in pids))


@pytest.mark.parametrize(("is_signalled", "code", "words"), [(True, 143, "error: interrupted"), (False, 1, "ImportError: init")])
def test_a_library_that_hides_a_signal_is_no_bug_of_ours(work: Path, is_signalled: bool, code: int, words: str) -> None:
    """Extension modules answer an interruption of their loading with an ImportError; one without a signal stays a bug."""
    signals = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)" if is_signalled else "pass"
    program = f"""if True:
        import sys
        from flynet_tiny import cli
        class Loader:
            def find_spec(self, name, *_):
                if name == "flynet_tiny.tables.targets":
                    try:
                        {signals}
                    finally:
                        raise ImportError("initialization failed")
        sys.meta_path.insert(0, Loader())
        cli.main(["targets"])
    """
    found = subprocess.run([sys.executable, "-c", program], cwd=work, capture_output=True, text=True)
    assert found.returncode == code, found.stderr
    assert found.stderr.strip().splitlines()[-1].startswith(words)
    assert ("Traceback" in found.stderr) is not is_signalled


@pytest.mark.slow
def test_a_signal_that_was_to_be_ignored_is_ignored(work: Path) -> None:
    """As under nohup."""
    note = work.parent / "started"
    wrap(work, "cc", f'echo > "{note}"\nexec $REAL "$@"')
    process = start(work, *COMPILE, "out", "--no-emulate", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for(note.exists)
    process.send_signal(signal.SIGHUP)
    ends(process, 0)
    assert leftovers(work) == {"out"}


def test_a_killed_run_is_swept_by_the_next_one(work: Path) -> None:
    note = work.parent / "pids"
    wrap(work, "cc", f'echo $$ > "{note}"\nexec sleep 600')
    process = start(work, *COMPILE, "out")
    wait_for(lambda: note.exists() and note.read_text().endswith("\n"))
    process.kill()
    process.communicate()
    os.kill(int(note.read_text()), signal.SIGKILL)
    assert leftovers(work)
    (work.parent / "tools" / "cc").unlink()
    ends(start(work, *COMPILE, "out", "--no-emulate"), 0)
    assert leftovers(work) == {"out"}


@pytest.mark.parametrize("tool", ["cc", "arm-none-eabi-gcc"])
def test_a_disk_that_fills_while_a_compiler_writes_is_one_line(work: Path, tool: str) -> None:
    wrap(work, tool, 'ulimit -f 1\nexec $REAL "$@"')
    ends(start(work, *COMPILE, "out"), 3, "cannot write", "File", "nothing was kept")
    assert leftovers(work) == set()


@pytest.mark.parametrize("words", ["No space left on device", "Disk quota exceeded", "Read-only file system"])
def test_what_compilers_say_of_full_disks_is_understood(tmp_path: Path, words: str) -> None:
    with pytest.raises(OutputFailed, match=words):
        run_tool(["sh", "-c", f"echo 'as: net.o: {words}' >&2; exit 1"], tmp_path)
    with pytest.raises(ToolFailedError):
        run_tool(["sh", "-c", "echo 'net.c:1: error: space' >&2; exit 1"], tmp_path)


def test_a_full_disk_for_the_text_that_is_printed_is_one_line(work: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flynet_tiny.cli", "targets"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "Traceback" not in done.stderr
    assert done.returncode == 3
    assert "No space left on device" in done.stderr


def test_a_folder_of_an_odd_name_is_written_verified_and_reported(work: Path) -> None:
    out = place = os.fsdecode(b"-a b'\"$HOME#;`x`,=%\n\x1b[31m\xff\xfe")
    said = ends(start(work, *COMPILE, place, "--no-emulate"), 0)
    assert "\x1b[31m" not in said
    assert leftovers(work) == {out}
    for command in (("verify", "--inputs", "1"), ("report",)):
        assert "\x1b[31m" not in ends(start(work, *command, "--", place), 0)
    (work / out / "thesis.tex").write_text("mine")
    refusal = ends(start(work, *COMPILE, place), 3, "thesis.tex")
    assert "\x1b[31m" not in refusal


@pytest.mark.slow
def test_the_working_folder_is_filled(work: Path) -> None:
    (work / "out").mkdir()
    process = start(work / "out", "compile", "../net.tflite", "--target", "stm32f412", "--out", ".", "--no-emulate")
    # its TMPDIR is work/tmp, which does not exist: Python falls back to the system's
    ends(process, 0)
    assert {"report.json", "manifest.json"} <= {path.name for path in (work / "out").iterdir()}


def test_an_interrupted_judge_does_not_finish_its_work() -> None:
    with pytest.raises(KeyboardInterrupt), LiteRtProcess() as process:
        raise KeyboardInterrupt
    assert not process.is_alive


def test_scratch_folders_of_the_dead_are_swept_and_nothing_else(tmp_path: Path) -> None:
    with ScratchFolder() as held:
        sweep(held.parent)
        assert held.is_dir()
    assert not held.exists()
    for name in ("flynet-tiny-aaaaaaaa", "flynet-tiny-bbbbbbbb", "flynet-tiny-unmarked", "flynet-tiny-12345678"):
        (tmp_path / name).mkdir()
    (tmp_path / "flynet-tiny-aaaaaaaa" / MARKER).mkdir()
    (tmp_path / "flynet-tiny-aaaaaaaa" / "run").mkdir()
    (tmp_path / "flynet-tiny-aaaaaaaa" / "run" / "file").write_text("scratch")
    (tmp_path / "flynet-tiny-unmarked" / "file").write_text("years of work")
    (tmp_path / "flynet-tiny-12345678" / MARKER).write_text("a file of this name")
    (tmp_path / "my-flynet-tiny-aaaaaaaa").mkdir()
    (tmp_path / "flynet-tiny-cccccccc").symlink_to("flynet-tiny-unmarked")
    sweep(tmp_path)
    kept = {"flynet-tiny-unmarked", "flynet-tiny-12345678", "my-flynet-tiny-aaaaaaaa", "flynet-tiny-cccccccc"}
    assert {path.name for path in tmp_path.iterdir()} == kept
