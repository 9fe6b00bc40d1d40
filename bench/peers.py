"""The peers' figures, from peers.json: a peer stands beside us only where it ran the same layer or file on the same core."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

PEER_NAMES = {"cmsis_nn": "CMSIS-NN", "tinyengine": "TinyEngine", "tflm_cmsis_nn": "TFLM + CMSIS-NN"}


@dataclass(frozen=True)
class PublicFile:
    """A model file that anybody can get: what it is called there, and what the peers need for it.

    figures  peer -> "instructions", "flash_bytes", "arena_bytes"
    """

    file: str
    sha256: str
    origin: str
    figures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@cache
def _table() -> Any:
    return json.loads(files(__package__).joinpath("peers.json").read_text(encoding="utf-8"))


@cache
def public_files() -> tuple[PublicFile, ...]:
    """The public files with known figures, in the order of the table."""
    found = []
    for row in _table()["files"]:
        figures = {peer: row[peer] for peer in PEER_NAMES if peer in row}
        found.append(PublicFile(row["file"], row["sha256"], row["origin"], figures))
    return tuple(found)


def peers_core() -> str:
    """The core that all peers were measured on."""
    return str(_table()["core"])


def peers_of_layer(name: str, core: str) -> Mapping[str, int]:
    """The peers' instructions for one of the benchmark's layers on a core; a peer without such a kernel is left out."""
    if core != peers_core():
        return {}
    return {peer: value for peer, value in _table()["layers"].get(name, {}).items() if isinstance(value, int)}


def peers_of_file(sha256: str, core: str) -> Mapping[str, Mapping[str, int]]:
    """The peers' figures for the very file with this hash on a core; empty for any other."""
    if core != peers_core():
        return {}
    return next((known.figures for known in public_files() if known.sha256 == sha256), {})
