"""Nothing of the user's is lost, whatever lies at the destination and whenever the process dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.bench.command import BenchRequest, run_bench
from flynet_tiny.errors import OutputFailed
from flynet_tiny.folders import exchange, placing
from flynet_tiny.folders.manifest import MANIFEST, Kind
from flynet_tiny.folders.output_folder import output_folder, require_replaceable
from flynet_tiny.folders.placing import scratch_name
from flynet_tiny.folders.scratch import MARKER, lock_folder
from flynet_tiny.learn.evaluating import EvaluationRequest, evaluate_model


def write(folder: Path, text: str = "1", kind: Kind = Kind.NETWORK) -> None:
    """A folder of ours: report.json, firmware/main.c and its ELF, and a file that only this text has."""
    with output_folder(folder, kind) as new:
        (new / "firmware").mkdir()
        for name in ("report.json", f"only{text}", "firmware/main.c", "firmware/net.elf"):
            (new / name).write_text(text)


def tree(folder: Path) -> dict[str, str]:
    """Every file and link below, by its path."""
    return {
        str(p.relative_to(folder)): p.read_text("latin-1") if p.is_file() else "" for p in folder.rglob("*") if not p.is_dir()
    }


def files_of(text: str) -> dict[str, str]:
    return dict.fromkeys(("report.json", f"only{text}", "firmware/main.c", "firmware/net.elf"), text)


def without_manifest(folder: Path) -> dict[str, str]:
    return {path: text for path, text in tree(folder).items() if path != MANIFEST}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_folder_appears_whole(tmp_path: Path) -> None:
    with output_folder(tmp_path / "deep" / "out", Kind.BENCH) as new:
        assert not (tmp_path / "deep" / "out").exists()
        (new / "a").write_text("1")
    assert without_manifest(tmp_path / "deep" / "out") == {"a": "1"}
    assert names(tmp_path / "deep") == {"out"}


def test_the_manifest_lists_every_file_and_is_the_same_each_time(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two")
    text = (tmp_path / "one" / MANIFEST).read_text()
    assert text == (tmp_path / "two" / MANIFEST).read_text()
    assert set(json.loads(text)["files"]) == set(files_of("1"))


def test_our_own_folder_is_replaced(tmp_path: Path) -> None:
    for text in "12":
        write(tmp_path / "out", text)
    assert without_manifest(tmp_path / "out") == files_of("2")
    assert names(tmp_path) == {"out"}


def test_mode_of_the_replaced_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(0o750)
    for text in "12":
        write(tmp_path / "out", text)
        assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o750


def test_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    for place in (tmp_path / "out", tmp_path / "deep" / "deeper" / "out"):
        with pytest.raises(RuntimeError, match="stop"), output_folder(place, Kind.NETWORK) as new:
            (new / "report.json").write_text("new")
            raise RuntimeError("stop")
    assert without_manifest(tmp_path / "out") == files_of("old")
    assert names(tmp_path) == {"out"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS])
def test_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    with pytest.raises(OutputFailed, match=os.strerror(number)), output_folder(tmp_path / "out", Kind.NETWORK) as new:
        (new / "half").write_text("x")
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


# What is the user's.


def refused(folder: Path, words: str, root: Path | None = None) -> None:
    """Before the work, and after it, and nothing is touched."""
    root = root or folder.parent
    before = tree(root)
    with pytest.raises(OutputFailed, match=words):
        require_replaceable(folder, Kind.NETWORK)
    with pytest.raises(OutputFailed, match=words):
        write(folder, "new")
    assert tree(root) == before
    assert not list(root.glob(".flynet*"))


@pytest.mark.parametrize(
    "path", ["thesis.tex", "firmware/thesis.tex", ".hidden", "firmware/build/notes.txt", "mine/empty/", "firmware/mine/", "x.elf"]
)
def test_anything_that_the_manifest_does_not_list_is_the_users(tmp_path: Path, path: str) -> None:
    write(tmp_path / "out")
    place = tmp_path / "out" / path
    if path.endswith("/"):
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(exist_ok=True)
        place.write_text("years of work")
    refused(tmp_path / "out", path.split("/")[0] if path.startswith("mine") else path.rstrip("/"))
    assert place.exists()


@pytest.mark.parametrize("path", ["report.json", "firmware/main.c"])
def test_a_file_that_was_edited_is_the_users(tmp_path: Path, path: str) -> None:
    write(tmp_path / "out")
    (tmp_path / "out" / path).write_text("2")  # of the same size
    refused(tmp_path / "out", f"changed since we wrote it.*{path}")


@pytest.mark.parametrize("link", ["link", "report.json", "firmware", MANIFEST])
def test_a_link_in_the_folder_is_the_users(tmp_path: Path, link: str) -> None:
    write(tmp_path / "out")
    place = tmp_path / "out" / link
    if os.path.lexists(place):
        place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    refused(tmp_path / "out", link)


def test_what_make_builds_in_the_firmware_is_ours(tmp_path: Path) -> None:
    write(tmp_path / "out")
    build = tmp_path / "out" / "firmware" / "build" / "trace"
    build.mkdir(parents=True)
    for path in (build / "net.o", build / "net.su", build.parent / "main.ci", build.parent / "net.elf.map"):
        path.write_text("object")
    (tmp_path / "out" / "firmware" / "net.elf").write_text("another compiler's")
    (tmp_path / "out" / "only1").unlink()
    write(tmp_path / "out", "2")
    assert without_manifest(tmp_path / "out") == files_of("2")


@pytest.mark.parametrize("marker", ["report.json", "evaluation.json", "bench.json"])
def test_a_folder_of_an_older_version_is_refused_with_the_next_step(tmp_path: Path, marker: str) -> None:
    write(tmp_path / "out")
    (tmp_path / "out" / MANIFEST).unlink()
    (tmp_path / "out" / marker).write_text("1")
    refused(tmp_path / "out", "older flynet-tiny.*remove it")


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    refused(tmp_path / "out", r"not ours \(thesis.tex\)")


def test_one_kind_of_folder_never_replaces_another(tmp_path: Path) -> None:
    write(tmp_path / "out", kind=Kind.EVALUATION)
    refused(tmp_path / "out", "not ours to replace")


def test_bench_and_evaluate_refuse_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputFailed, match="thesis"):
        run_bench(BenchRequest("stm32f412", layers_only=True, out=tmp_path / "out"))
    with pytest.raises(OutputFailed, match="thesis"):
        evaluate_model(EvaluationRequest(tmp_path / "none.pt", "digits", out=tmp_path / "out"))
    assert tree(tmp_path / "out") == {"thesis.tex": "years of work"}


def test_a_file_a_link_and_a_dangling_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("nowhere")
    refused(tmp_path / "file", "not a folder")
    refused(tmp_path / "link", "symbolic link")
    refused(tmp_path / "dangling", "symbolic link")
    refused(tmp_path / "file" / "deep" / "out", "file is not a folder", tmp_path)
    refused(tmp_path / "dangling" / "out", "link to nowhere", tmp_path)
    refused(tmp_path / ("n" * 300), "File name too long")
    refused(tmp_path / "/".join(["n" * 200] * 30), "File name too long", tmp_path)


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputFailed, match="cannot write"):
        write(Path("/proc/nowhere/out"))
    with pytest.raises(OutputFailed, match="cannot write"):
        write(Path("/proc/out"))
    monkeypatch.setattr("os.access", lambda *_: False)  # whoever runs the tests may be allowed everything
    with pytest.raises(OutputFailed, match="cannot write in"):
        require_replaceable(tmp_path / "deep" / "out", Kind.NETWORK)
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputFailed, match="cannot write in"):
        require_replaceable(tmp_path / "out", Kind.NETWORK)


@pytest.mark.parametrize("closed", ["", "firmware"])
def test_a_folder_of_ours_that_was_made_read_only_is_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    write(tmp_path / "out")
    place = tmp_path / "out" / closed
    monkeypatch.setattr("os.access", lambda path, _: Path(path) != place)  # whoever runs the tests may be allowed everything
    refused(tmp_path / "out", f"cannot write in .*out/?{closed}; choose another --out")


WRONG = (
    *(None, True, -1, 0, 1.5, 1 << 80, "", "text", "network", [], {}, [[]], ["report.json"], {"report.json": None}),
    {"thesis.tex": {}},
    {"thesis.tex": {"bytes": 13}},
    {"thesis.tex": {"bytes": 13, "sha256": "text"}},
    {"thesis.tex": {"bytes": 13, "sha256": "0" * 64}},
    {"thesis.tex": {"bytes": -1, "sha256": "0" * 64}},
    {"thesis.tex": {"bytes": True, "sha256": "0" * 64}},
)
HOSTILE_PATHS = ("../thesis.tex", "/etc/passwd", "a/../../thesis.tex", "a//b", "./a", "", "a\0b", MANIFEST)


def damage(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_hostile_manifest_never_makes_anything_ours(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        refuse_hostile_manifest(Path(folder), data)


def refuse_hostile_manifest(root: Path, data: st.DataObject) -> None:
    (root / "thesis.tex").write_text("years of work")
    write(root / "out")
    whole = (root / "out" / MANIFEST).read_text()
    found = json.loads(whole)
    key = data.draw(st.sampled_from(("whole", "bytes", "path", "cut", *found)))
    if key == "bytes":
        damage(root / "out", data.draw(st.binary(max_size=50)))
    elif key == "cut":
        damage(root / "out", whole[: data.draw(st.integers(0, len(whole) - 2))].encode())
    elif key == "path":
        found["files"][data.draw(st.sampled_from(HOSTILE_PATHS))] = found["files"]["report.json"]
        damage(root / "out", json.dumps(found).encode())
    else:
        value = data.draw(st.sampled_from(WRONG))
        damage(root / "out", json.dumps(value if key == "whole" else {**found, key: value}).encode())
    (root / "out" / "thesis.tex").write_text("years of work")
    refused(root / "out", "manifest.json|not ours")


def listing(*paths: str) -> bytes:
    files = {path: {"bytes": 1, "sha256": "0" * 64} for path in paths}
    made = {"format": 1, "tool": "flynet-tiny", "version": "0.1.0", "kind": "network", "files": files}
    return json.dumps(made).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"0" * (5 << 20),
        b'{"tool": ' + b"9" * 5000 + b"}",
        listing("a/" * 1_000_000 + "a"),
        listing(*(f"{i}/" + "a/" * 2000 + "a" for i in range(800))),
    ],
    ids=["nested", "large", "digits", "deep", "many deep"],
)
def test_a_manifest_that_is_a_bomb_is_one_line(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "out")
    damage(tmp_path / "out", content)
    refused(tmp_path / "out", "manifest.json")
    with pytest.raises(OutputFailed) as error:
        write(tmp_path / "out")
    assert len(str(error.value)) < 1000


def test_a_manifest_that_is_a_pipe_or_a_folder_is_one_line(tmp_path: Path) -> None:
    for make in (os.mkfifo, os.mkdir):
        place = tmp_path / make.__name__
        write(place)
        (place / MANIFEST).unlink()
        make(place / MANIFEST)
        with pytest.raises(OutputFailed, match=r"not a regular file|Is a directory"):
            write(place)


@pytest.mark.parametrize(
    "name", ["a b", "a'b\"", "$HOME", "a#b", "a\nb", "a\x1b[31mb", os.fsdecode(b"a\xffb"), "n" * 255, "-o", "%s"]
)
def test_any_name_works(tmp_path: Path, name: str) -> None:
    for text in "12":
        write(tmp_path / name, text)
    assert without_manifest(tmp_path / name) == files_of("2")
    assert names(tmp_path) == {name}


# Places where a folder cannot be renamed.


def test_the_working_folder_is_filled_and_stays_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    before = Path().stat().st_ino
    for text, place in zip("1234", (".", "", "../out", str(tmp_path / "out")), strict=True):
        write(Path(place), text)
        assert without_manifest(Path()) == files_of(text)
        assert names(tmp_path) == {"out"}
        assert Path().stat().st_ino == before
    Path("thesis.tex").write_text("mine")
    with pytest.raises(OutputFailed, match="thesis"):
        write(Path())


def no_exchange(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(placing, "exchange", refuse)


@pytest.mark.parametrize("number", sorted(exchange.CANNOT_EXCHANGE))
def test_a_kernel_without_exchange_moves_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    no_exchange(monkeypatch, number)
    for text in "123":
        write(tmp_path / "out", text)
    assert without_manifest(tmp_path / "out") == files_of("3")
    assert names(tmp_path) == {"out"}


def test_a_mount_point_is_filled_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "is_same_mount", lambda *_: False)
    (tmp_path / "out").mkdir()
    before = (tmp_path / "out").stat().st_ino
    for text in "123":
        write(tmp_path / "out", text)
        assert (tmp_path / "out").stat().st_ino == before
    assert without_manifest(tmp_path / "out") == files_of("3")
    assert names(tmp_path) == {"out"}


def test_a_folder_whose_parent_is_read_only_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    mkdir = Path.mkdir

    def refuse(self: Path, *arguments: object, **options: object) -> None:
        if self.parent == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied")
        mkdir(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse)
    for text in "12":
        write(tmp_path / "out", text)
    assert without_manifest(tmp_path / "out") == files_of("2")


def test_a_file_that_appears_at_the_last_moment_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "out", "old")
    swap = placing.exchange
    first = True

    def slow(one: Path, other: Path) -> None:
        nonlocal first
        if first:
            (tmp_path / "out" / "thesis.tex").write_text("years of work")
        first = False
        swap(one, other)

    monkeypatch.setattr(placing, "exchange", slow)
    with pytest.raises(OutputFailed, match="thesis"):
        write(tmp_path / "out", "new")
    assert without_manifest(tmp_path / "out") == files_of("old") | {"thesis.tex": "years of work"}
    assert names(tmp_path) == {"out"}


# Other processes: killed ones, and one that writes at the same time.

CHILD = """
import os, signal, sys
from pathlib import Path
from flynet_tiny.folders import placing
from flynet_tiny.folders.manifest import Kind
from flynet_tiny.folders.output_folder import output_folder

how, place = sys.argv[1], Path(sys.argv[2])
EVENTS = ("os.", "open", "shutil.", "flynet_tiny.")
if how == "move":
    def exchange(*_):
        raise OSError(22, "Invalid argument")
    placing.exchange = exchange
if how == "inside":
    placing.is_same_mount = lambda *_: False

def write(text):
    with output_folder(place, Kind.NETWORK) as new:
        (new / "firmware").mkdir()
        for name in ("report.json", "only" + text, "firmware/main.c", "firmware/net.elf"):
            (new / name).write_text(text)

def files():
    return {str(p.relative_to(place)): p.read_text() for p in place.rglob("*") if p.is_file() and p.name != "manifest.json"}

def files_of(text):
    return dict.fromkeys(("report.json", "only" + text, "firmware/main.c", "firmware/net.elf"), text)

def killed_at(point):
    child = os.fork()
    if child == 0:
        left = point
        def hook(event, arguments):
            nonlocal left
            if event.startswith(EVENTS):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        write("new")
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

point, states = 0, set()
while True:
    point += 1
    if how == "fresh":
        place = Path(sys.argv[2]) / str(point) / "out"
        place.parent.mkdir()
        old = {}
    else:
        write("old")
        old = files_of("old")
    if not killed_at(point):
        break
    found = files()
    if how in ("fresh", "exchange"):
        assert found in (old, files_of("new")), (point, found)
        states.add("old" if found == old else "new")
    elif (place / "manifest.json").exists():
        whole = {path: text for path, text in found.items() if not path.startswith(".flynet")}
        assert whole in (old, files_of("new")), (point, found)
    write("next")
    assert files() == files_of("next"), (point, files())
    hidden = [p for p in place.parent.rglob("*") if ".flynet" in p.name]
    assert not hidden, (point, hidden)
assert point > 20, point
print(point, sorted(states))
"""


@pytest.mark.parametrize("how", ["fresh", "exchange", pytest.param("move", marks=pytest.mark.slow), "inside"])
def test_kill_at_any_point_leaves_the_old_or_the_new_and_the_next_run_nothing_hidden(tmp_path: Path, how: str) -> None:
    place = tmp_path if how == "fresh" else tmp_path / "out"
    run = subprocess.run([sys.executable, "-c", CHILD, how, str(place)], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    if how == "exchange":
        assert "['new', 'old']" in run.stdout


WRITER = """
import sys
from pathlib import Path
from flynet_tiny.folders.manifest import Kind
from flynet_tiny.folders.output_folder import output_folder
with output_folder(Path(sys.argv[1]), Kind.NETWORK) as new:
    (new / "report.json").write_text("theirs")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("exists", [False, True])
def test_of_two_writers_one_wins_and_the_other_says_so(tmp_path: Path, exists: bool) -> None:
    place = tmp_path / "out"
    if exists:
        write(place, "old")
    other = subprocess.Popen([sys.executable, "-c", WRITER, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin is not None
    assert other.stdout is not None
    with other, other.stdin:
        assert other.stdout.readline() == "writing\n"
        for attempt in (lambda: write(place), lambda: require_replaceable(place, Kind.NETWORK)):
            with pytest.raises(OutputFailed, match="another flynet-tiny is writing"):
                attempt()
        write(tmp_path / "neighbour")
        assert (without_manifest(place) == files_of("old")) if exists else not place.exists()
    assert other.wait(60) == 0
    assert without_manifest(place) == {"report.json": "theirs"}
    assert names(tmp_path) == {"out", "neighbour"}


def killed_run(place: Path) -> None:
    """Leaves its scratch folder beside the place."""
    other = subprocess.Popen([sys.executable, "-c", WRITER, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "writing\n"
        other.kill()


def test_leftovers_of_dead_processes_are_swept_also_those_of_other_destinations(tmp_path: Path) -> None:
    killed_run(tmp_path / "one")
    assert names(tmp_path) == {scratch_name(tmp_path / "one")}
    write(tmp_path / "two")
    assert names(tmp_path) == {"two"}


def test_what_only_looks_like_a_leftover_stays(tmp_path: Path) -> None:
    for name in (".out.abcdefgh", scratch_name(tmp_path / "other"), f".flynet-tiny-{'0' * 16}"):
        (tmp_path / name / "new").mkdir(parents=True)
        (tmp_path / name / "new" / "thesis.tex").write_text("years of work")
    (tmp_path / f".flynet-tiny-{'1' * 16}").write_text("a file")
    (tmp_path / f".flynet-tiny-{'2' * 16}").symlink_to(tmp_path / ".out.abcdefgh")
    before = tree(tmp_path)
    write(tmp_path / "out")
    assert {path: text for path, text in tree(tmp_path).items() if not path.startswith("out/")} == before
    with pytest.raises(OutputFailed, match="in the way and not ours"):
        write(tmp_path / "other")
    assert {path: text for path, text in tree(tmp_path).items() if not path.startswith("out/")} == before


def test_a_leftover_that_another_process_holds_stays(tmp_path: Path) -> None:
    leftover = tmp_path / f".flynet-tiny-{'0' * 16}"
    (leftover / MARKER).mkdir(parents=True)
    lock = lock_folder(leftover)
    assert lock is not None
    write(tmp_path / "out")
    assert names(tmp_path) == {"out", leftover.name}
    lock.close()
    write(tmp_path / "out", "2")
    assert names(tmp_path) == {"out"}


def test_a_file_that_was_swapped_out_with_the_old_folder_is_never_swept(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    leftover = tmp_path / scratch_name(tmp_path / "out")
    (leftover / MARKER).mkdir(parents=True)
    (tmp_path / "out").rename(leftover / "swap")
    (leftover / "swap" / "thesis.tex").write_text("years of work")
    for name in ("neighbour", "out"):
        with pytest.raises(OutputFailed, match=r"thesis\.tex") if name == "out" else contextlib.nullcontext():
            write(tmp_path / name)
    assert (leftover / "swap" / "thesis.tex").read_text() == "years of work"
