"""The second half of the road: from an int8 model to a folder with C, firmware, proof and report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from ..codegen.compiler import Compiled, compile_tflite
from ..codegen.ir import FileEnd, Graph, Tensor, file_inputs, file_outputs, macs
from ..codegen.targets import Target
from ..errors import NumbersDiffer, OverBudget
from ..firmware.project import FittedFirmware
from ..firmware.toolchain import Tool, require_tools
from ..report.layers import layers_of
from ..report.page import render_page
from ..report.schema import (
    Accuracy,
    BankUse,
    Flash,
    Instructions,
    ModelFacts,
    NotDone,
    Port,
    Ram,
    Report,
    TargetFacts,
)
from ..verify.harness import SetResult
from ..verify.host_c import HostLibrary
from ..verify.onnx_twin import build_twin
from ..verify.qemu import SelfTest, run_emulated, run_self_test
from .building import REAL_ADDRESS_BOARDS, copy_elf, link, tidy, write_library, write_stack_bytes
from .console import Reporter
from .network import inputs_for_any_model
from .proof import Progress, judge, ordinary_runtimes, test_inputs
from .quantized_model import Plan, Subject

REAL_INPUTS = 16


@dataclass(frozen=True)
class Verdict:
    """The report, and the budget that was missed, if any (the report is written all the same)."""

    report: Report
    over_budget: OverBudget | None


def require_road_tools(plan: Plan) -> None:
    """Fail before any work when a program is missing."""
    require_tools(Tool.CROSS_COMPILER, Tool.MAKE, Tool.HOST_COMPILER, *([Tool.EMULATOR] if plan.emulate else []))


def walk(subject: Subject, plan: Plan, folder: Path, reporter: Reporter) -> Verdict:
    """Compile, link, prove and report a model; everything is written below `folder`."""
    with reporter.step("compile") as step:
        compiled = compile_tflite(subject.tflite, subject.name, plan.build)
        _write_models(subject, compiled, folder)
        write_library(compiled.library, folder)
        step.say(
            f"{len(compiled.source_graph.ops)} operators -> {len(compiled.calls)} kernel calls, arena "
            f"{compiled.plan.arena_bytes:,} B (most live at one time {compiled.plan.lower_bound_bytes:,} B)",
            *compiled.source_graph.notes,
        )
    with HostLibrary(compiled.library) as host:
        try:
            with reporter.step("link") as step:
                linked = link(compiled.library, plan, folder, host)
                write_stack_bytes(compiled.library, linked, folder)
                step.say(_link_line(linked, plan.target))
        except OverBudget as error:
            report = _report(subject, compiled, plan, None, NotDone("the network does not fit"), str(error))
            _write_report(report, compiled, folder)
            return Verdict(report, error)
        report = _prove(subject, compiled, plan, linked, host, reporter)
        _run_at_real_addresses(compiled, plan, folder, host, reporter)
    tidy(linked)
    copy_elf(linked, folder)
    _write_report(report, compiled, folder)
    return Verdict(report, None)


def _prove(
    subject: Subject, compiled: Compiled, plan: Plan, linked: FittedFirmware, host: HostLibrary, reporter: Reporter
) -> Report:
    graph = compiled.source_graph
    real = subject.real_inputs
    if real is None:
        real = inputs_for_any_model(graph.tensor(graph.inputs[0]), REAL_INPUTS, plan.seed)
    inputs = test_inputs(compiled, real, REAL_INPUTS, plan.seed)
    with reporter.step("verify") as step:
        firmware = linked.firmware if plan.emulate else None
        judgement = judge(compiled, subject.tflite, host, firmware, inputs, step.progress)
        step.say(judgement.summary, *judgement.lines)
    report = _report(subject, compiled, plan, linked, NotDone("--no-emulate"), None)
    model = replace(report.model, notes=(*report.model.notes, *judgement.notes, *plan.target.emulation_notes))
    report = replace(report, verification=judgement.pairs, model=model)
    if judgement.emulated is not None:
        with reporter.step("emulate") as step:
            self_test = run_self_test(linked.firmware, count=False)
            counts = judgement.emulated.instructions_per_op
            assert counts is not None
            instructions = Instructions(sum(counts))
            stack = max(judgement.emulated.stack_bytes, self_test.stack_bytes)
            report = replace(
                report,
                instructions=instructions,
                layers=layers_of(compiled, counts),
                ram=replace(report.ram, stack_measured_bytes=stack),
            )
            per_mac = f", {instructions.total / report.model.macs:.2f} per MAC" if report.model.macs else ""
            _require_self_test(self_test)
            step.say(
                f"{instructions.total:,} instructions on {plan.target.machine}{per_mac}; stack {stack:,} B measured; "
                "the firmware's self-test passes",
                *plan.target.emulation_notes,
            )
    with reporter.step("rounding") as step:
        rounding = ordinary_runtimes(compiled.source_graph, subject.tflite, inputs, judgement.golden_outputs)
        report = replace(report, accumulated_rounding=rounding)
        differing = (
            f"{name} " + ("cannot run it" if isinstance(r, NotDone) else f"{r.differing_share:.2%} by up to {r.max_lsb} LSB")
            for name, r in rounding.items()
        )
        step.say(f"outputs of float-rounding runtimes that differ: {', '.join(differing)}")
    if subject.labelled is not None:
        with reporter.step("accuracy") as step:
            accuracy = _accuracy(subject, compiled, linked if plan.emulate else None, host, step.progress)
            report = replace(report, accuracy=accuracy)
            emulated = "not run" if accuracy.emulated is None else f"{accuracy.emulated:.2%}"
            step.say(
                f"float {accuracy.float:.2%}, int8 {accuracy.int8:.2%}, emulated {emulated} of {accuracy.images} held-out images"
            )
    return report


def _run_at_real_addresses(compiled: Compiled, plan: Plan, folder: Path, host: HostLibrary, reporter: Reporter) -> None:
    """Where QEMU has the chip itself: a second firmware at the chip's own addresses, which says PASS on its UART."""
    board = REAL_ADDRESS_BOARDS.get(plan.target.name)
    if board is None:
        return
    with reporter.step(board.machine) as step:
        try:
            linked = link(compiled.library, plan, folder, host, board)
        except OverBudget as error:
            step.say(f"left out: on this board, which lacks CCM, the network {error}")
            return
        if plan.emulate:
            _require_self_test(run_self_test(linked.firmware, count=False))
        tidy(linked)
        step.say("firmware at the chip's own addresses, self-test over UART " + ("passes" if plan.emulate else "not run"))


def _require_self_test(result: SelfTest) -> None:
    if not result.passed:
        raise NumbersDiffer(f"the firmware's self-test fails on the emulated board: {result.output.strip()[-200:]}")


def _accuracy(
    subject: Subject, compiled: Compiled, linked: FittedFirmware | None, host: HostLibrary, progress: Progress
) -> Accuracy:
    """Shares of held-out images that the C gets right; raises `NumbersDiffer` where host and board give other outputs."""
    labelled = subject.labelled
    assert labelled is not None
    (name,), (output,) = compiled.library.input_names, compiled.library.output_names[:1]
    sets = [{name: image} for image in labelled.inputs]

    def share_right(results: Sequence[SetResult]) -> float:
        return float(np.mean([int(np.argmax(result.outputs[output])) for result in results] == labelled.labels))

    on_host = host.run_many(sets, trace=False)
    emulated = None
    if linked is not None:
        run = run_emulated(linked.firmware, compiled.library, sets, trace=False, count=False, timeout_s=600, progress=progress)
        for index, (left, right) in enumerate(zip(on_host, run.sets, strict=True)):
            for tensor in compiled.library.output_names:
                if not np.array_equal(left.outputs[tensor], right.outputs[tensor]):
                    raise NumbersDiffer(
                        f"held-out image {index}: {tensor} differs between the C on the host and the emulated board"
                    )
        emulated = share_right(run.sets)
    return Accuracy(len(sets), share_right(on_host), emulated, labelled.float_accuracy)


def _write_models(subject: Subject, compiled: Compiled, folder: Path) -> None:
    (folder / "model.tflite").write_bytes(subject.tflite)
    if subject.onnx is not None:
        (folder / "model.onnx").write_bytes(subject.onnx)
    twin: onnx.ModelProto = build_twin(compiled.source_graph)
    (folder / "golden.onnx").write_bytes(twin.SerializeToString(deterministic=True))


def _write_report(report: Report, compiled: Compiled, folder: Path) -> None:
    (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
    (folder / "report.html").write_text(render_page(report, compiled), encoding="utf-8")


def _link_line(linked: FittedFirmware, target: Target) -> str:
    used, budget = linked.elf_info.flash_bytes, target.flash_bytes
    ram, ram_budget = linked.placement.used_bytes, target.ram_bytes
    arena, stack = linked.placement.arena.size_bytes, linked.placement.stack.size_bytes
    return (
        f"flash {used:,} of {budget:,} B ({used / budget:.1%}), RAM {ram:,} of {ram_budget:,} B ({ram / ram_budget:.1%}): "
        f"arena {arena:,}, stack {stack:,}, statics {linked.elf_info.static_bytes:,}"
    )


def _constant_bytes(graph: Graph) -> int:
    return sum(t.size_bytes for t in graph.tensors.values() if t.is_constant)


def _report(
    subject: Subject, compiled: Compiled, plan: Plan, linked: FittedFirmware | None, why_not: NotDone, over_budget: str | None
) -> Report:
    """The report with what is known after linking; figures that need the emulator are `why_not`."""
    graph, target = compiled.source_graph, plan.target
    first, last = graph.tensor(graph.inputs[0]), graph.tensor(graph.outputs[0])
    constants = [t for t in graph.tensors.values() if t.is_constant]
    model = ModelFacts(
        subject.title,
        subject.params if subject.params is not None else sum(t.num_elements for t in constants),
        sum(macs(op, graph) for op in graph.ops),
        _resolution(first),
        last.shape[-1] if last.shape else 1,
        subject.trained,
        compiled.sha256,
        len(subject.tflite),
        tuple(_resolution(graph.tensor(name)) for name in graph.outputs),
        subject.class_names,
        _constant_bytes(graph),
        _ports(graph, graph.inputs, file_inputs(graph)),
        _ports(graph, graph.outputs, file_outputs(graph)),
        graph.notes,
    )
    arena = compiled.plan.arena_bytes
    if linked is None:
        flash = Flash(None, target.flash_bytes, _constant_bytes(graph), None)
        banks = tuple(BankUse(b.name, f"0x{b.base:08X}", b.size_bytes, 0) for b in target.data_banks)
        ram = Ram(arena, target.ram_bytes, arena, compiled.plan.lower_bound_bytes, None, None, None, None, banks)
    else:
        elf, placement = linked.elf_info, linked.placement
        flash = Flash(elf.flash_bytes, target.flash_bytes, elf.weights_bytes, elf.code_bytes)
        banks = tuple(BankUse(u.bank.name, f"0x{u.bank.base:08X}", u.bank.size_bytes, u.used_bytes) for u in placement.banks)
        ram = Ram(
            placement.used_bytes, target.ram_bytes, arena, compiled.plan.lower_bound_bytes, placement.stack.size_bytes, None,
            linked.stack_bound_bytes, elf.static_bytes, banks,
        )  # fmt: skip
    return Report(
        model=model,
        target=TargetFacts(target.name, target.core.value, plan.optimize),
        flash=flash,
        ram=ram,
        fits=over_budget is None,
        verification=why_not,
        instructions=why_not,
        accuracy=NotDone(subject.accuracy_not_done) if over_budget is None else why_not,
        accumulated_rounding=why_not,
        sqnr=subject.sqnr,
        over_budget=over_budget,
        fine_tuning=subject.fine_tuning,
        layers=layers_of(compiled, None),
    )


def _ports(graph: Graph, names: Sequence[str], ends: Sequence[FileEnd]) -> tuple[Port, ...]:
    tensors = [graph.tensor(name) for name in names]
    named = zip(tensors, ends, strict=True)
    return tuple(Port(end.name.raw or t.name, t.shape, t.scale, t.zero_point) for t, end in named)


def _resolution(tensor: Tensor) -> tuple[int, ...]:
    return tensor.shape[1:] if len(tensor.shape) > 1 and tensor.shape[0] == 1 else tensor.shape or (math.prod(tensor.shape),)
