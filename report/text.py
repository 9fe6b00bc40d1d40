"""The report as text, short and aligned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..quoting import shorten, visible
from .schema import (
    Accuracy,
    FineTuning,
    Flash,
    Instructions,
    Layer,
    Minimisation,
    ModelFacts,
    NotDone,
    PixelFacts,
    Ram,
    Report,
    Rounding,
    Verification,
    left_out_line,
)

_NAME = 14


def format_report(report: Report) -> str:
    """A screenful: fit, memory bank by bank, proof, accuracy, instructions."""
    model, target = report.model, report.target
    lines = [
        visible(f"{model.name} on {target.name} ({target.core})"),
        _row("model", _model(model)),
        *_pixels(model.pixels),
        _row("flash", _flash(report.flash)),
        *_ram(report.ram),
        _row("fits", "yes" if report.fits else f"NO: {report.over_budget}"),
        *_minimisation(report.minimisation),
        *(_row("note", note) for note in model.notes),
        *_verification(report.verification),
        *_accuracy(report.accuracy),
        *_fine_tuning(report.fine_tuning, report.accuracy),
        *_rounding(report.accumulated_rounding),
        *_instructions(report.instructions, report.layers, report.computed_macs),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, text: str) -> str:
    """One line, also where a name in the text has several."""
    return f"  {name:<{_NAME}}{visible(text)}"


def _share(used: int, of: int) -> str:
    return f"{used:>9,} of {of:>9,} B ({100 * used / of:5.1f} %)"


def _model(model: ModelFacts) -> str:
    shape = "x".join(str(d) for d in model.resolution)
    outputs = ", ".join("x".join(str(d) for d in output) for output in model.outputs)
    state = {True: "trained", False: "UNTRAINED", None: "as given"}[model.trained]
    return f"{shape} -> {outputs}, {model.params:,} parameters, {model.macs:,} MACs, {state}"


def _pixels(found: PixelFacts | None) -> list[str]:
    if found is None:
        return []
    mean, std = (", ".join(f"{value:.6g}" for value in values) for values in (found.mean, found.std))
    return [_row("pixels", f"(byte / 255 - mean) / std, mean {mean}, std {std}")]


def _flash(flash: Flash) -> str:
    if flash.used_bytes is None:
        return f"not linked; constants {flash.weights_bytes:,} B of {flash.budget_bytes:,} B"
    return f"{_share(flash.used_bytes, flash.budget_bytes)}  constants {flash.weights_bytes:,}, code {flash.code_bytes:,}"


def _ram(ram: Ram) -> list[str]:
    state = f" ({ram.state_bytes:,} of state)" if ram.state_bytes else ""
    parts = f"arena {ram.arena_bytes:,}{state}"
    if ram.stack_bytes is not None:
        measured = "" if ram.stack_measured_bytes is None else f" (measured {ram.stack_measured_bytes:,})"
        parts += f", stack {ram.stack_bytes:,}{measured}, statics {ram.static_bytes:,}"
    rows = [_row("RAM", f"{_share(ram.used_bytes, ram.budget_bytes)}  {parts}")]
    used = [bank for bank in ram.banks if bank.used_bytes]
    return rows + [_row("", f"{_share(b.used_bytes, b.size_bytes)}  {b.name} at {b.base}") for b in used]


def _verification(found: tuple[Verification, ...] | NotDone) -> list[str]:
    if isinstance(found, NotDone):
        return [_row("verified", f"not done: {found.not_done}")]
    lines = []
    for p in found:
        lines.append(f"{p.pair}: {p.inputs} inputs, {p.tensors} tensors, {p.bytes:,} bytes, {p.differing} differing")
        if p.left_out:
            lines.append(left_out_line(p.pair, p.left_out, p.left_out_why))
    return [_row(name, line) for name, line in zip(["verified", *[""] * len(lines)], lines, strict=False)]


def _minimisation(found: Minimisation | NotDone) -> list[str]:
    return [] if isinstance(found, NotDone) or not found.is_anything else [_row("minimised", found.line)]


def _accuracy(found: Accuracy | NotDone) -> list[str]:
    if isinstance(found, NotDone):
        return [_row("accuracy", f"not measured: {found.not_done}")]
    emulated = "not run" if found.emulated is None else f"{100 * found.emulated:.2f} %"
    in_float = "" if found.float is None else f"float {100 * found.float:.2f} %, "
    shares = f"{in_float}int8 {100 * found.int8:.2f} %, emulated board {emulated}"
    return [_row("accuracy", f"{shares} of {found.images} held-out images")]


def _fine_tuning(found: FineTuning | None, accuracy: Accuracy | NotDone) -> list[str]:
    if found is None:
        return []
    by_float = 100 * found.distillation
    how = f"{found.epochs} epochs on {found.images:,} images, {by_float:.0f} % of the loss by the float network"
    rows = [_row("fine-tuned", how)]
    compared = found.compared
    if compared is None:
        return rows
    before = f"before: float {100 * compared.float_before:.2f} %, int8 {100 * compared.int8_before:.2f} %"
    after = f"simulated int8 {100 * compared.simulated:.2f} %"
    if isinstance(accuracy, Accuracy) and accuracy.float is not None:
        after = f"float {100 * accuracy.float:.2f} %, {after}, exported int8 {100 * accuracy.int8:.2f} %"
    agreement = (
        f"simulated against int8: argmax agrees in {100 * compared.argmax_agreement:.1f} %, "
        f"{100 * compared.differing_share:.1f} % of outputs differ, by up to {compared.max_lsb} LSB"
    )
    return [*rows, _row("", before), _row("", f"after: {after}"), _row("", agreement)]


def _rounding(found: Mapping[str, Rounding | NotDone] | NotDone) -> list[str]:
    if isinstance(found, NotDone):
        return []
    names = ["others round", *[""] * len(found)]
    return [_row(name, f"{runtime}: {_rounding_text(r)}") for name, (runtime, r) in zip(names, found.items(), strict=False)]


def _rounding_text(found: Rounding | NotDone) -> str:
    if isinstance(found, NotDone):
        return f"not done: {found.not_done}"
    share, agreement = 100 * found.differing_share, 100 * found.argmax_agreement
    return f"{share:.2f} % of outputs differ, by up to {found.max_lsb} LSB, argmax agrees in {agreement:.1f} %"


def _instructions(found: Instructions | NotDone, layers: Sequence[Layer], macs: int) -> list[str]:
    if isinstance(found, NotDone):
        return [_row("instructions", f"not counted: {found.not_done}")]
    per_mac = f", {found.total / macs:.2f} per MAC" if macs else ""
    rows = [_row("instructions", f"{found.total:,} for one inference{per_mac} (emulated; not cycles)")]
    counted = sorted(((layer.instructions or 0, layer) for layer in layers), key=lambda row: -row[0])
    return rows + [_row("", _layer(count, found.total, layer)) for count, layer in counted[:5]]


def _layer(count: int, total: int, layer: Layer) -> str:
    share = 100 * count / total if total else 0.0
    return f"{count:>11,}  {share:5.1f} %  {layer.op} {shorten(layer.title, 50)}"
