"""The networks that can be asked for by name: counted at once, measured earlier, beside what the paper prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..codegen.targets import get_target
from ..deploy.console import Reporter
from ..flynet.networks.flynet_config import FlyNetConfig
from ..flynet.networks.presets import PRESETS, Preset, Printed
from ..sources.extras import require_torch
from .measured_sizes import CORE_OF, read_store, sources_hash

if TYPE_CHECKING:
    from ..flynet.counts import Counts


@dataclass(frozen=True)
class ListedModel:
    """One network. Figures of the firmware are None where they are not known for these sources; `sizes` says why."""

    name: str
    resolution: int
    classes: int
    params: int
    macs: int
    madds_profiler: int
    flash_bytes: int | None
    sram_bytes: int | None
    sizes: str
    paper: tuple[Printed, ...]
    difference: str


def models_table(as_json: bool) -> str:
    """`flynet-tiny models`: every preset with its counts, measured sizes and the paper's figures."""
    require_torch()
    with Reporter().step("models") as step:
        rows = list_models(step.progress)
        step.say(f"{len(rows)} networks built and counted")
    if as_json:
        return json.dumps([asdict(row) for row in rows], indent=2) + "\n"
    wide = max(len(row.name) for row in rows)
    head = f"{'model':<{wide}} {'params':>9} {'MACs':>11} {'profiled':>11} {'flash B':>9} {'SRAM B':>8}"
    lines = [f"{head}  the paper (its table; or a network's own): top-1, top-5, params, MAdds (millions)"]
    for row in rows:
        counts = f"{row.params:>9,} {row.macs:>11,} {row.madds_profiler:>11,}"
        sizes = f"{_or_dash(row.flash_bytes):>9} {_or_dash(row.sram_bytes):>8}"
        paper = "; ".join(_printed(printed) for printed in row.paper) or "-"
        lines.append(f"{row.name:<{wide}} {counts} {sizes}  {paper}")
    lines += ["", *(f"{row.name}: {row.difference}" for row in rows if row.difference)]
    for reason in dict.fromkeys(row.sizes for row in rows if row.flash_bytes is None):
        lines.append(f"'-': flash and SRAM {reason}")
    lines.append(
        "MACs: convolutions and fully connected layers, without the attention's small ones, which a report counts too; beside a "
        "peer's printed MAdds stand these and the products with MicroNet's computed coefficients."
    )
    lines.append(
        "profiled: MAdds as the paper's profiler counts them, with batch normalization, activations and the attention's pooling."
    )
    lines.append(
        f"flash, SRAM: int8 firmware for a {get_target(CORE_OF).core.value}, untrained weights, --optimize balanced; "
        "flash varies by about 1 % with the weights."
    )
    return "\n".join(lines) + "\n"


def list_models(progress: Callable[[int, int, str], None] = lambda done, total, name: None) -> tuple[ListedModel, ...]:
    """Every preset; the counts are made now, the sizes are those that were measured with these very sources.

    progress  told how many are counted, of how many, and the name of the next
    """
    from ..flynet.counts import count

    measured, today = read_store(), sources_hash()
    rows: list[ListedModel] = []
    for found in PRESETS.values():
        progress(len(rows), len(PRESETS), found.name)
        counts = count(found.config)
        sizes, why = None, "not measured, or too large for any known chip; run 'flynet-tiny models --measure'"
        if found.name in measured:
            kept, of = measured[found.name]
            if of == today:
                sizes, why = kept, "measured with these sources"
            else:
                why = "measured with other sources; run 'flynet-tiny models --measure'"
        config = found.config
        rows.append(
            ListedModel(
                found.name,
                config.resolution,
                config.classes,
                counts.params,
                counts.macs,
                counts.profiled_madds,
                sizes.flash_bytes if sizes else None,
                sizes.sram_bytes if sizes else None,
                why,
                found.printed,
                _difference(found, counts),
            )
        )
    return tuple(rows)


def _difference(found: Preset, counts: Counts) -> str:
    """FlyNets beside the paper's own count of MAdds; of a peer it repeats what others printed: MACs, dynamic ones too."""
    if isinstance(found.config, FlyNetConfig):
        return difference(found.printed, counts.params, counts.profiled_madds)
    return difference(found.printed, counts.params, counts.macs + counts.dynamic_macs)


def difference(printed: Sequence[Printed], params: int, profiled_madds: int) -> str:
    """Where our counts are not the printed ones to the printed digit, and the cause as far as it is known."""
    found = []
    for row in printed:
        for what, ours, theirs in (("params", params, row.params_m), ("MAdds", profiled_madds, row.madds_m)):
            if theirs is None or _agrees(ours / 1e6, theirs):
                continue
            found.append(f"{_place(row)} prints {theirs:g} M {what}, here {ours / 1e6:.3f} M")
    if not found:
        return ""
    causes = {
        2: "table 2 comes from another revision of the authors' code, whose attention convolves 2 to 4 maps instead of 1 to 2",
    }
    because = [
        causes[row.table]
        for row in printed
        if not row.source and row.table in causes and f"table {row.table} " in " ".join(found)
    ]
    return "; ".join([*found, *because])


def _agrees(ours_m: float, printed_m: float) -> bool:
    """To the printed digit, rounded or cut off: the paper does both (0.658 M is 0.65 M in its table 3)."""
    digits = len(f"{printed_m:g}".partition(".")[2])
    step = 10.0**-digits
    return abs(ours_m - printed_m) < step * (1 if digits else 0.5) + 1e-9


def _printed(row: Printed) -> str:
    params = "" if row.params_m is None else f", {row.params_m:g}"
    madds = "" if row.madds_m is None else f", {row.madds_m:g}"
    top5 = "-" if row.top5 is None else f"{row.top5:g}"
    place = f"{row.source}'s" if row.source else f"{row.table}:"
    return f"{place} {row.top1:g} {top5}{params}{madds}"


def _place(row: Printed) -> str:
    """Where a row is printed: a table of the FlyNet paper, or the paper of a network itself."""
    if not row.source:
        return f"table {row.table}"
    return f"its paper's table {row.table}" if row.table else "its authors' page"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
