"""Whose folder it is: ours to replace only if its manifest lists all that lies in it, as it lies there."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import BadData, OutputFailed
from ..quoting import shorten, visible
from .manifest import MANIFEST, Kind, Survey, find_manifest, remove_owned, survey

_SHOWN_CHARACTERS = 200
_FORMER_MARKERS = ("report.json", "evaluation.json", "bench.json")  # what versions without a manifest wrote
_ELSE = "or choose another --out"


def shown(path: Path | str) -> str:
    """A path as a message names it."""
    return shorten(visible(str(path)), _SHOWN_CHARACTERS)


def require_ours(folder: Path, name: str, kind: Kind | None = None, but: str | None = None) -> Survey | None:
    """What may be removed of a folder, None when it is empty; `OutputFailed` names one thing that is the user's.

    name  what the user calls the folder;  kind  what it must hold;  but  an entry of it to leave out
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name != but)
    if not names:
        return None
    try:
        manifest = find_manifest(folder)
    except BadData as error:
        raise OutputFailed(f"{error}; so nothing says whose {name} is: remove it, {_ELSE}") from error
    if manifest is None:
        former = next((marker for marker in _FORMER_MARKERS if marker in names), None)
        if former is None:
            raise OutputFailed(f"{name} holds files that are not ours ({shown(names[0])}); choose another --out")
        raise OutputFailed(
            f"{name} has a {former} but no {MANIFEST}, so it is not ours to replace: an older flynet-tiny may have made it, and "
            f"nothing says which of its files are yours; remove it, {_ELSE}"
        )
    if kind not in (None, manifest.kind):
        raise OutputFailed(
            f"{name} is not ours to replace: it holds another result ({manifest.kind.value}); choose another --out"
        )
    found = survey(folder, manifest, but)
    if found.foreign:
        raise OutputFailed(f"{name} holds files that are not ours ({shown(found.foreign[0])}); move them away, {_ELSE}")
    if found.changed:
        raise OutputFailed(
            f"{name} holds a file that was changed since we wrote it ({shown(found.changed[0])}); move it away, {_ELSE}"
        )
    for inner in ("", *found.folders):  # what cannot be removed whole must not be begun
        if not os.access(folder / inner, os.W_OK | os.X_OK):
            raise OutputFailed(f"cannot write in {shown(Path(name) / inner)}; choose another --out")
    return found


def remove_ours(folder: Path, name: str) -> None:
    """Remove a folder that is ours, or empty; `OutputFailed` when anything of the user's is in it."""
    found = require_ours(folder, name)
    if found is None:
        folder.rmdir()
    else:
        remove_owned(folder, found)
