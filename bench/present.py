"""A benchmark as a table, as JSON and as a bar chart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ..quoting import markup_environment, shorten, visible
from .measure import Measured
from .peers import PEER_NAMES, peers_core
from .public_files import Refused

_BAR_WIDTH, _ROW_HEIGHT, _LABEL_WIDTH = 520, 14, 170


def as_json(target: str, layers: Sequence[Measured], networks: Sequence[Measured], refused: Sequence[Refused] = ()) -> str:
    """`{"layers": [...], "networks": [...]}` with ours and the peers' instructions; `refused` names files with no figures."""

    def row(m: Measured) -> dict[str, object]:
        return {
            "name": m.name,
            "core": m.core,
            "macs": m.macs,
            "instructions": m.instructions,
            "instructions_per_mac": round(m.instructions / m.macs, 4) if m.macs else None,
            "code_bytes": m.code_bytes,
            "constant_bytes": m.constant_bytes,
            "scratch_bytes": m.scratch_bytes,
            "arena_bytes": m.arena_bytes,
            "flash_bytes": m.flash_bytes,
            **({"sha256": m.sha256} if m.sha256 else {}),
            "peers": dict(m.peers),
        }

    found = {"schema": 1, "target": target, "layers": [row(m) for m in layers], "networks": [row(m) for m in networks]}
    if refused:
        found["refused"] = [{"name": one.name, "sha256": one.sha256, "why": one.why} for one in refused]
    return json.dumps(found, indent=2) + "\n"


def as_table(measured: Sequence[Measured]) -> str:
    """One line each: instructions, per MAC (ADD: per element), code, constants, scratch, and how much more the peers need."""
    lines = [f"{'':<22} {'MACs':>11} {'instructions':>13} {'per MAC':>8} {'code B':>8} {'const B':>8} {'scratch':>8}  peers need"]
    for m in measured:
        unit = "" if m.macs else " /element"
        peers = ", ".join(f"{PEER_NAMES[peer]} {count / m.instructions:.1f}x" for peer, count in m.peers.items())
        name = visible(m.name)
        lines.append(
            f"{name:<22} {m.macs:>11,} {m.instructions:>13,} {m.per_unit:>8.3f} {m.code_bytes:>8,} {m.constant_bytes:>8,} "
            f"{m.scratch_bytes:>8,}  {peers}{unit}"
        )
    lines += _other_core(measured)
    return "\n".join(lines) + "\n"


def files_as_table(measured: Sequence[Measured | Refused]) -> str:
    """One line for each public file: what we need, what the peers need for the same bytes, and its sha256."""
    lines = [f"{'':<28} {'instructions':>13} {'per MAC':>8} {'flash B':>9} {'arena B':>8}  peers, on the same file"]
    for m in measured:
        name = shorten(visible(m.name), 28)
        if isinstance(m, Refused):
            lines.append(f"{name:<28} {m.why}")
        else:
            per_mac = f"{m.per_unit:.3f}" if m.macs else ""
            peers = "; ".join(_peer(peer, figures, m) for peer, figures in m.peers_on_file.items())
            lines.append(f"{name:<28} {m.instructions:>13,} {per_mac:>8} {m.flash_bytes:>9,} {m.arena_bytes:>8,}  {peers}")
        if m.sha256:
            lines.append(f"{'':<28} sha256 {m.sha256}")
    lines += _other_core([m for m in measured if isinstance(m, Measured)])
    return "\n".join(lines) + "\n"


def _other_core(measured: Sequence[Measured]) -> list[str]:
    """Why no peer stands beside a core that none was measured on."""
    others = sorted({m.core for m in measured} - {peers_core()})
    return [f"peers: measured on a {peers_core()} only, so none stands beside a {core}" for core in others]


def _peer(peer: str, figures: Mapping[str, int], ours: Measured) -> str:
    counts = f"{figures['instructions']:,} ({figures['instructions'] / ours.instructions:.1f}x)"
    return f"{PEER_NAMES[peer]}: {counts}, flash {figures['flash_bytes']:,}, arena {figures['arena_bytes']:,}"


def as_chart(measured: Sequence[Measured]) -> str:
    """An SVG of horizontal bars: instructions per MAC (ADD: per element), ours and the peers'; each group has its own scale."""
    groups = []
    y = 30
    for m in measured:
        units = m.macs or m.elements
        bars = [("flynet-tiny", m.per_unit)]
        bars += [(PEER_NAMES[peer], count / units) for peer, count in m.peers.items()]
        longest = max(value for _, value in bars)
        rows = [
            {"who": who, "value": value, "y": y + i * _ROW_HEIGHT, "width": value / longest * _BAR_WIDTH}
            for i, (who, value) in enumerate(bars)
        ]
        groups.append({"name": m.name, "y": y, "rows": rows})
        y += len(bars) * _ROW_HEIGHT + 10
    environment = markup_environment(__package__ or "bench")
    view = {"groups": groups, "height": y + 10, "label": _LABEL_WIDTH, "bar": _BAR_WIDTH, "row": _ROW_HEIGHT}
    return environment.get_template("chart.svg.j2").render(view)
