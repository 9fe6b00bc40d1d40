"""The report of a deployment: what is known of the model and of its linked firmware, and the two files that say it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..codegen.compiler import Compiled
from ..codegen.ir import FileEnd, Graph, Tensor, file_inputs, file_outputs, macs
from ..codegen.targets import Target
from ..errors import OverBudget
from ..firmware.project import FittedFirmware
from ..flynet.data.pixels import Pixels
from ..report.layers import layers_of
from ..report.minimisation import minimisation_of
from ..report.page import render_page
from ..report.schema import BankUse, Flash, ModelFacts, NotDone, PixelFacts, Port, Ram, Report, TargetFacts
from .quantized_model import DeploymentPlan, QuantizedModel


def report_after_linking(
    model: QuantizedModel, compiled: Compiled, plan: DeploymentPlan, linked: FittedFirmware | OverBudget
) -> Report:
    """The report with what is known after linking, or with the budget that was missed; nothing else is done yet."""
    graph, target = compiled.source_graph, plan.target
    if isinstance(linked, OverBudget):
        flash, ram = _unlinked(compiled, target)
        why_not = NotDone("the network does not fit")
    else:
        flash, ram = _linked(compiled, target, linked)
        why_not = NotDone("--no-emulate")
    fits = not isinstance(linked, OverBudget)
    return Report(
        model=_model_facts(model, compiled.sha256, graph),
        target=TargetFacts(target.name, target.core.value, plan.optimize),
        flash=flash,
        ram=ram,
        fits=fits,
        verification=why_not,
        instructions=why_not,
        accuracy=NotDone(model.accuracy_not_done) if fits else why_not,
        accumulated_rounding=why_not,
        sqnr=model.sqnr,
        over_budget=None if fits else str(linked),
        fine_tuning=model.fine_tuning,
        layers=layers_of(compiled, None),
        minimisation=minimisation_of(compiled) if plan.minimise else NotDone("--no-minimise"),
    )


def usage_of(model: QuantizedModel, graph: Graph) -> tuple[PixelFacts | None, tuple[str, ...]]:
    """What the report says of a network's pixels and class names, which the header says as well."""
    return _pixels(model.pixels, graph.tensor(graph.inputs[0])), model.class_names


def write_report(report: Report, compiled: Compiled, folder: Path) -> None:
    """report.json, and report.html to look at."""
    (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
    (folder / "report.html").write_text(render_page(report, compiled), encoding="utf-8")


def _model_facts(model: QuantizedModel, sha256: str, graph: Graph) -> ModelFacts:
    first, last = graph.tensor(graph.inputs[0]), graph.tensor(graph.outputs[0])
    constants = [t for t in graph.tensors.values() if t.is_constant]
    return ModelFacts(
        name=model.title,
        params=model.params if model.params is not None else sum(t.num_elements for t in constants),
        macs=sum(macs(op, graph) for op in graph.ops),
        resolution=_resolution(first),
        classes=last.shape[-1] if last.shape else 1,
        trained=model.trained,
        sha256=sha256,
        tflite_bytes=len(model.tflite),
        outputs=tuple(_resolution(graph.tensor(name)) for name in graph.outputs),
        class_names=model.class_names,
        parameter_bytes=_constant_bytes(graph),
        input_ports=_ports(graph, graph.inputs, file_inputs(graph)),
        output_ports=_ports(graph, graph.outputs, file_outputs(graph)),
        notes=graph.notes,
        pixels=_pixels(model.pixels, first),
    )


def _pixels(pixels: Pixels | None, tensor: Tensor) -> PixelFacts | None:
    """Of each channel of the input; None where nobody said it, or the input is no picture."""
    if pixels is None or len(tensor.shape) != 4 or tensor.shape[3] not in (1, 3):
        return None
    of_channels = pixels.for_channels(tensor.shape[3])
    return PixelFacts(of_channels.mean, of_channels.std)


def _unlinked(compiled: Compiled, target: Target) -> tuple[Flash, Ram]:
    arena = compiled.plan.arena_bytes
    ram = Ram(
        used_bytes=arena,
        budget_bytes=target.ram_bytes,
        arena_bytes=arena,
        arena_lower_bound_bytes=compiled.plan.lower_bound_bytes,
        stack_bytes=None,
        stack_measured_bytes=None,
        stack_bound_bytes=None,
        static_bytes=None,
        banks=tuple(BankUse(b.name, f"0x{b.base:08X}", b.size_bytes, 0) for b in target.data_banks),
        state_bytes=compiled.plan.state_bytes,
    )
    return Flash(None, target.flash_bytes, _constant_bytes(compiled.source_graph), None), ram


def _linked(compiled: Compiled, target: Target, linked: FittedFirmware) -> tuple[Flash, Ram]:
    elf, placement = linked.elf_info, linked.placement
    ram = Ram(
        used_bytes=placement.used_bytes,
        budget_bytes=target.ram_bytes,
        arena_bytes=compiled.plan.arena_bytes,
        arena_lower_bound_bytes=compiled.plan.lower_bound_bytes,
        stack_bytes=placement.stack.size_bytes,
        stack_measured_bytes=None,
        stack_bound_bytes=linked.stack_bound_bytes,
        static_bytes=elf.static_bytes,
        banks=tuple(BankUse(u.bank.name, f"0x{u.bank.base:08X}", u.bank.size_bytes, u.used_bytes) for u in placement.banks),
        state_bytes=compiled.plan.state_bytes,
    )
    return Flash(elf.flash_bytes, target.flash_bytes, elf.weights_bytes, elf.code_bytes), ram


def _constant_bytes(graph: Graph) -> int:
    return sum(t.size_bytes for t in graph.tensors.values() if t.is_constant)


def _ports(graph: Graph, names: Sequence[str], ends: Sequence[FileEnd]) -> tuple[Port, ...]:
    tensors = [graph.tensor(name) for name in names]
    named = zip(tensors, ends, strict=True)
    return tuple(Port(end.name.raw or t.name, t.shape, t.scale, t.zero_point) for t, end in named)


def _resolution(tensor: Tensor) -> tuple[int, ...]:
    return tensor.shape[1:] if len(tensor.shape) > 1 and tensor.shape[0] == 1 else tensor.shape or (math.prod(tensor.shape),)
