"""manifest.json: what an output folder holds of ours, file by file with its hash. Whatever it does not list is the user's.

It is read from folders that anybody may have made, and only ever asked about files that were found: a path in it leads nowhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

from .. import __version__
from ..errors import BadData
from ..quoting import ForeignText
from .regular_file import read_regular

MANIFEST = "manifest.json"
FORMAT = 1
_MOST_BYTES = 4 << 20
_MOST_LEVELS = 8  # ours has three; every folder above a file is kept by its whole path
_TOOL = "flynet-tiny"
# what `make` in a firmware project makes anew: its objects with their notes, and the two ELFs (where the manifest lists them)
_OBJECTS = re.compile(r"firmware[\w-]*/build/(trace/)?[^/]+\.(o|su|ci|map)")
_ELFS = re.compile(r"firmware[\w-]*/[^/]+\.elf")
_BUILD_FOLDERS = re.compile(r"firmware[\w-]*/build(/trace)?")


class Kind(Enum):
    """What a folder is for; one kind never replaces another."""

    NETWORK = "network"
    EVALUATION = "evaluation"
    BENCH = "bench"


@dataclass(frozen=True)
class FileFacts:
    """A file as it was written."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of a folder by their paths in it (with slashes), all but manifest.json; `version` is that of the tool."""

    kind: Kind
    version: str
    files: Mapping[str, FileFacts]

    def to_json(self) -> str:
        """The file's text; the same folder gives the same text."""
        files = {path: {"bytes": self.files[path].size_bytes, "sha256": self.files[path].sha256} for path in sorted(self.files)}
        made = {"format": FORMAT, "tool": _TOOL, "version": self.version, "kind": self.kind.value, "files": files}
        return json.dumps(made, indent=2) + "\n"


@dataclass(frozen=True)
class Survey:
    """A folder as it is beside its manifest; paths in it, sorted, folders with a slash at the end.

    owned     files that may be replaced: as listed, or made again by `make`
    folders   of ours, each before what it holds
    foreign   what is not listed: files, folders, links
    changed   listed, but other bytes now;  rebuilt  the same of an ELF that `make` makes;  missing  listed, but gone
    """

    owned: tuple[str, ...]
    folders: tuple[str, ...]
    foreign: tuple[str, ...]
    changed: tuple[str, ...]
    rebuilt: tuple[str, ...]
    missing: tuple[str, ...]


def write_manifest(folder: Path, kind: Kind) -> None:
    """List everything that lies in a folder of ours; the last file that is written into it."""
    files = {}
    for path, entry in _walk(folder, lambda _: True):
        if stat.S_ISREG(entry.st_mode):
            files[path] = _facts(folder / path)
    (folder / MANIFEST).write_text(Manifest(kind, __version__, files).to_json(), encoding="utf-8")


def find_manifest(folder: Path) -> Manifest | None:
    """The folder's manifest, or None where there is none; raises `BadData` when it is damaged."""
    try:
        content = read_regular(folder / MANIFEST, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadData(f"cannot read {folder / MANIFEST}: {error.strerror}") from error
    try:
        return _parse(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise BadData(f"{folder / MANIFEST} is damaged or not of flynet-tiny: {error}") from error


def survey(folder: Path, manifest: Manifest, but: str | None = None) -> Survey:
    """Look at everything in a folder, without following links; `but` names one entry of it to leave out."""
    ours = {str(parent) for path in manifest.files for parent in PurePosixPath(path).parents}
    owned: list[str] = []
    folders: list[str] = []
    foreign: list[str] = []
    changed: list[str] = []
    rebuilt: list[str] = []
    seen = set()

    def is_ours(path: str) -> bool:
        return path in ours or _BUILD_FOLDERS.fullmatch(path) is not None

    for path, entry in _walk(folder, is_ours, but):
        seen.add(path)
        if stat.S_ISDIR(entry.st_mode):
            (folders if is_ours(path) else foreign).append(f"{path}/")
        elif not stat.S_ISREG(entry.st_mode):
            foreign.append(path)
        elif path == MANIFEST or _OBJECTS.fullmatch(path):
            owned.append(path)
        elif path not in manifest.files:
            foreign.append(path)
        elif entry.st_size == manifest.files[path].size_bytes and _facts(folder / path) == manifest.files[path]:
            owned.append(path)
        elif _ELFS.fullmatch(path):
            owned.append(path)
            rebuilt.append(path)
        else:
            changed.append(path)
    missing = sorted(set(manifest.files) - seen)
    return Survey(
        tuple(owned), tuple(folders), tuple(sorted(foreign)), tuple(sorted(changed)), tuple(sorted(rebuilt)), tuple(missing)
    )


def remove_owned(folder: Path, found: Survey) -> None:
    """Remove what a survey found to be ours, and the folder; the manifest goes last. `OSError` when something else is there."""
    for path in sorted(found.owned, key=lambda path: path == MANIFEST):
        if path == MANIFEST:
            for inner in sorted(found.folders, reverse=True):
                (folder / inner).rmdir()
        (folder / path).unlink()
    folder.rmdir()


def _walk(
    folder: Path, enter: Callable[[str], bool], but: str | None = None, prefix: str = ""
) -> Iterator[tuple[str, os.stat_result]]:
    """(path, status) of everything below, a folder before what it holds; only folders that `enter` wants are looked into."""
    with os.scandir(folder / prefix) as entries:
        found = sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries if prefix or entry.name != but)
    for name, status in found:
        path = f"{prefix}{name}"
        yield path, status
        if stat.S_ISDIR(status.st_mode) and enter(path):
            yield from _walk(folder, enter, None, f"{path}/")


def _facts(path: Path) -> FileFacts:
    digest = hashlib.sha256()
    size = 0
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return FileFacts(size, digest.hexdigest())


def _parse(found: Any) -> Manifest:
    """Checked value by value; `ValueError` says what is wrong."""
    if not isinstance(found, dict) or found.get("tool") != _TOOL:
        raise ValueError("it does not name flynet-tiny as its tool")
    if found.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    version, files = found.get("version"), found.get("files")
    if not isinstance(version, str) or not re.fullmatch(r"[0-9A-Za-z.+-]{1,40}", version):
        raise ValueError("it has no version")
    if not isinstance(files, dict):
        raise ValueError("it has no list of files")
    return Manifest(Kind(found.get("kind")), version, {_path(path): _listed(path, facts) for path, facts in files.items()})


def _path(path: str) -> str:
    parts = path.split("/")
    if len(parts) > _MOST_LEVELS or any(part in ("", ".", "..") or "\0" in part for part in parts) or path == MANIFEST:
        raise ValueError(f"{ForeignText(path)!r} is not a path in the folder")
    return path


def _listed(path: str, facts: Any) -> FileFacts:
    size, sha256 = (facts.get("bytes"), facts.get("sha256")) if isinstance(facts, dict) else (None, None)
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"it has no size and hash of {ForeignText(path)!r}")
    return FileFacts(size, sha256)
