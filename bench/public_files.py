"""Every model file of a folder on the emulated board: the public ones that `peers.json` knows, and any others beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..codegen.targets import Target
from ..codegen.tflite_reader import read_tflite
from ..deploy.model_file import read_model_file
from ..errors import BadData, BadModel, FlynetError
from .measure import Measured, measure
from .peers import public_files


@dataclass(frozen=True)
class Refused:
    """A file without figures: it is not there, cannot be read (then without a hash) or compiled, or does not fit, and `why`."""

    name: str
    sha256: str
    why: str


def measure_files(folder: Path, target: Target, progress: Callable[[int, int, str], None]) -> list[Measured | Refused]:
    """Measure all `.tflite` of a folder: known public files first, in the table's order, known by their sha256, then the others.

    A known file that is not there has a row that says where it comes from.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".tflite")
    except OSError as error:
        raise BadData(f"cannot read the folder {folder}: {error.strerror}") from error
    if not paths:
        raise BadData(f"{folder} holds no .tflite file")
    by_hash: dict[str, Path] = {}  # copies of one file are measured once
    unreadable: list[Refused] = []
    for path in paths:
        try:
            by_hash.setdefault(hashlib.sha256(read_model_file(path)).hexdigest(), path)
        except BadModel as error:
            unreadable.append(Refused(path.name, "", f"refused: {error}"))
    rows: list[Measured | Refused] = []
    done = 0
    for known in public_files():
        if known.sha256 not in by_hash:
            rows.append(Refused(known.file, known.sha256, f"not in the folder; it comes from {known.origin}"))
            continue
        path = by_hash.pop(known.sha256)
        progress(done, len(paths), path.name)
        rows.append(_measure(path, known.sha256, target))
        done += 1
    for sha256, path in sorted(by_hash.items(), key=lambda found: found[1]):
        progress(done, len(paths), path.name)
        rows.append(_measure(path, sha256, target))
        done += 1
    return rows + unreadable


def _measure(path: Path, sha256: str, target: Target) -> Measured | Refused:
    try:
        return measure(path.name, read_tflite(read_model_file(path), "model"), target, sha256)
    except FlynetError as error:
        return Refused(path.name, sha256, f"refused: {error}")
