"""The verdict as text: what report.json says, short and aligned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..quoting import shorten, visible
from .schema import left_out_line

_NAME = 14


def format_report(report: Mapping[str, Any]) -> str:
    """A screenful: fit, memory bank by bank, proof, accuracy, instructions."""
    model, target = report["model"], report["target"]
    shape = "x".join(str(d) for d in model["resolution"])
    outputs = ", ".join("x".join(str(d) for d in output) for output in model["outputs"])
    state = {True: "trained", False: "UNTRAINED", None: "as given"}[model["trained"]]
    lines = [
        visible(f"{model['name']} on {target['name']} ({target['core']})"),
        _row("model", f"{shape} -> {outputs}, {model['params']:,} parameters, {model['macs']:,} MACs, {state}"),
        _row("flash", _flash(report["flash"])),
        *_ram(report["ram"]),
        _row("fits", "yes" if report["fits"] else f"NO: {report['over_budget']}"),
        *(_row("note", note) for note in model.get("notes", ())),
        *_verification(report["verification"]),
        *_accuracy(report["accuracy"]),
        *_fine_tuning(report.get("fine_tuning"), report["accuracy"]),
        *_rounding(report["accumulated_rounding"]),
        *_instructions(report["instructions"], report["layers"], model["macs"]),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, text: str) -> str:
    """One line, also where a name in the text has several."""
    return f"  {name:<{_NAME}}{visible(text)}"


def _share(used: int, of: int) -> str:
    return f"{used:>9,} of {of:>9,} B ({100 * used / of:5.1f} %)"


def _flash(flash: Mapping[str, Any]) -> str:
    if flash["used_bytes"] is None:
        return f"not linked; constants {flash['weights_bytes']:,} B of {flash['budget_bytes']:,} B"
    parts = f"constants {flash['weights_bytes']:,}, code {flash['code_bytes']:,}"
    return f"{_share(flash['used_bytes'], flash['budget_bytes'])}  {parts}"


def _ram(ram: Mapping[str, Any]) -> list[str]:
    parts = f"arena {ram['arena_bytes']:,}"
    if ram["stack_bytes"] is not None:
        measured = "" if ram["stack_measured_bytes"] is None else f" (measured {ram['stack_measured_bytes']:,})"
        parts += f", stack {ram['stack_bytes']:,}{measured}, statics {ram['static_bytes']:,}"
    rows = [_row("RAM", f"{_share(ram['used_bytes'], ram['budget_bytes'])}  {parts}")]
    used = [bank for bank in ram["banks"] if bank["used_bytes"]]
    return rows + [_row("", f"{_share(b['used_bytes'], b['size_bytes'])}  {b['name']} at {b['base']}") for b in used]


def _verification(found: Any) -> list[str]:
    if isinstance(found, Mapping):
        return [_row("verified", f"not done: {found['not_done']}")]
    lines = []
    for p in found:
        counts = f"{p['inputs']} inputs, {p['tensors']} tensors, {p['bytes']:,} bytes, {p['differing']} differing"
        lines.append(f"{p['pair']}: {counts}")
        if p.get("left_out"):
            lines.append(left_out_line(p["pair"], p["left_out"], p["left_out_why"]))
    return [_row(name, line) for name, line in zip(["verified", *[""] * len(lines)], lines, strict=False)]


def _accuracy(found: Mapping[str, Any]) -> list[str]:
    if "not_done" in found:
        return [_row("accuracy", f"not measured: {found['not_done']}")]
    emulated = "not run" if found["emulated"] is None else f"{100 * found['emulated']:.2f} %"
    shares = f"float {100 * found['float']:.2f} %, int8 {100 * found['int8']:.2f} %, emulated board {emulated}"
    return [_row("accuracy", f"{shares} of {found['images']} held-out images")]


def _fine_tuning(found: Mapping[str, Any] | None, accuracy: Mapping[str, Any]) -> list[str]:
    if found is None:
        return []
    by_float = 100 * found["distillation"]
    how = f"{found['epochs']} epochs on {found['images']:,} images, {by_float:.0f} % of the loss by the float network"
    rows = [_row("fine-tuned", how)]
    if found["simulated"] is None:
        return rows
    before = f"before: float {100 * found['float_before']:.2f} %, int8 {100 * found['int8_before']:.2f} %"
    after = f"simulated int8 {100 * found['simulated']:.2f} %"
    if "int8" in accuracy:
        after = f"float {100 * accuracy['float']:.2f} %, {after}, exported int8 {100 * accuracy['int8']:.2f} %"
    agreement = (
        f"simulated against int8: argmax agrees in {100 * found['argmax_agreement']:.1f} %, "
        f"{100 * found['differing_share']:.1f} % of outputs differ, by up to {found['max_lsb']} LSB"
    )
    return [*rows, _row("", before), _row("", f"after: {after}"), _row("", agreement)]


def _rounding(found: Mapping[str, Any]) -> list[str]:
    if "not_done" in found:
        return []
    names = ["others round", *[""] * len(found)]
    return [_row(name, f"{runtime}: {_rounding_text(r)}") for name, (runtime, r) in zip(names, found.items(), strict=False)]


def _rounding_text(found: Mapping[str, Any]) -> str:
    if "not_done" in found:
        return f"not done: {found['not_done']}"
    share, agreement = 100 * found["differing_share"], 100 * found["argmax_agreement"]
    return f"{share:.2f} % of outputs differ, by up to {found['max_lsb']} LSB, argmax agrees in {agreement:.1f} %"


def _instructions(found: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], macs: int) -> list[str]:
    if "not_done" in found:
        return [_row("instructions", f"not counted: {found['not_done']}")]
    per_mac = f", {found['total'] / macs:.2f} per MAC" if macs else ""
    rows = [_row("instructions", f"{found['total']:,} for one inference{per_mac} (emulated; not cycles)")]
    top = sorted(layers, key=lambda layer: -layer["instructions"])[:5]
    return rows + [_row("", _layer(layer, found["total"])) for layer in top]


def _layer(layer: Mapping[str, Any], total: int) -> str:
    count = layer["instructions"]
    return f"{count:>11,}  {100 * count / total:5.1f} %  {layer['op']} {shorten(layer['title'], 50)}"
