"""The peers' figures, from peers.json beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class PeerFigures:
    """Instructions of each peer for one layer or network; a peer without a figure is left out."""

    instructions: Mapping[str, int]


@cache
def _table() -> Mapping[str, Mapping[str, Mapping[str, int | str | None]]]:
    found: Mapping[str, Mapping[str, Mapping[str, int | str | None]]] = json.loads(
        files(__package__).joinpath("peers.json").read_text(encoding="utf-8")
    )
    return found


def peers_of(name: str) -> PeerFigures:
    """The peers' figures for a layer or network of ours; empty for others."""
    row = _table()["layers"].get(name) or _table()["networks"].get(name) or {}
    return PeerFigures({peer: value for peer, value in row.items() if isinstance(value, int)})
