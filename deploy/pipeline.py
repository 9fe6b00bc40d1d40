"""From a quantized model to a folder with C, firmware, proof and report: one step after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from ..codegen.compiler import Compiled, compile_tflite
from ..codegen.targets import Target
from ..errors import NumbersDiffer, OverBudget
from ..firmware.project import FittedFirmware
from ..firmware.toolchain import Tool, require_tools
from ..report.layers import layers_of
from ..report.minimisation import minimisation_of
from ..report.schema import Accuracy, Instructions, NotDone, Report
from ..verify.harness import SetResult
from ..verify.host_c import HostLibrary
from ..verify.onnx_twin import build_twin
from ..verify.qemu import SelfTest, run_emulated, run_self_test
from .building import REAL_ADDRESS_BOARDS, copy_elf, link, tidy, write_library, write_stack_bytes
from .console import Reporter
from .network import REAL_INPUTS, inputs_for_any_model
from .proof import Progress, Runtimes, ordinary_runtimes, prove, test_inputs
from .quantized_model import DeploymentPlan, LabelledInputs, QuantizedModel
from .reporting import report_after_linking, usage_of, write_report
from .usage_notes import with_usage_notes


@dataclass(frozen=True)
class Deployed:
    """The report, and the budget that was missed, if any (the report is written all the same)."""

    report: Report
    over_budget: OverBudget | None


@dataclass(frozen=True, eq=False)
class _Deployment:
    """What the steps after the compiler work on: the model, its C here and on the host, the plan, the folder and the console."""

    model: QuantizedModel
    compiled: Compiled
    host: HostLibrary
    plan: DeploymentPlan
    folder: Path
    reporter: Reporter


def require_deployment_tools(plan: DeploymentPlan) -> None:
    """Fail before any work when a program is missing."""
    require_tools(Tool.CROSS_COMPILER, Tool.MAKE, Tool.HOST_COMPILER, *([Tool.EMULATOR] if plan.emulate else []))


def deploy_model(model: QuantizedModel, plan: DeploymentPlan, folder: Path, reporter: Reporter) -> Deployed:
    """Compile, link, prove and report a model; everything is written below `folder`."""
    with reporter.step("compile") as step:
        compiled = compile_tflite(model.tflite, model.name, plan.build)
        compiled = replace(compiled, library=with_usage_notes(compiled.library, *usage_of(model, compiled.source_graph)))
        _write_models(model, compiled, folder)
        write_library(compiled.library, folder)
        minimised = minimisation_of(compiled)
        step.say(
            f"{len(compiled.source_graph.ops)} operators -> {len(compiled.calls)} kernel calls, arena "
            f"{compiled.plan.arena_bytes:,} B (most live at one time {compiled.plan.lower_bound_bytes:,} B)"
            + (f", {compiled.plan.state_bytes:,} B of it state" if compiled.plan.state_bytes else ""),
            *([minimised.line] if plan.minimise and minimised.is_anything else []),
            *compiled.source_graph.notes,
        )
    with HostLibrary(compiled.library) as host:
        deployment = _Deployment(model, compiled, host, plan, folder, reporter)
        try:
            with reporter.step("link") as step:
                linked = link(compiled.library, plan, folder, host)
                write_stack_bytes(compiled.library, linked, folder)
                step.say(_link_line(linked, plan.target))
        except OverBudget as error:
            report = report_after_linking(model, compiled, plan, error)
            write_report(report, compiled, folder)
            return Deployed(report, error)
        report = _prove(deployment, linked)
        _run_at_real_addresses(deployment)
    tidy(linked)
    copy_elf(linked, folder)
    write_report(report, compiled, folder)
    return Deployed(report, None)


def _prove(deployment: _Deployment, linked: FittedFirmware) -> Report:
    """The report with all that running the model says."""
    model, compiled, plan = deployment.model, deployment.compiled, deployment.plan
    graph = compiled.source_graph
    real = model.real_inputs
    if real is None:
        real = {graph.inputs[0]: inputs_for_any_model(graph.tensor(graph.inputs[0]), REAL_INPUTS, plan.seed)}
    inputs = test_inputs(compiled, real, REAL_INPUTS, plan.seed)
    with deployment.reporter.step("verify") as step:
        runtimes = Runtimes(compiled, model.tflite, deployment.host, linked.firmware if plan.emulate else None)
        proof = prove(runtimes, inputs, step.progress)
        step.say(proof.summary, *proof.lines)
    report = report_after_linking(model, compiled, plan, linked)
    of_emulation = plan.target.emulation_notes if plan.emulate else ()
    facts = replace(report.model, notes=(*report.model.notes, *proof.notes, *of_emulation))
    report = replace(report, verification=proof.pairs, model=facts)
    if proof.emulated is not None:
        with deployment.reporter.step("emulate") as step:
            self_test = run_self_test(linked.firmware, count=False)
            counts = proof.emulated.instructions_per_op
            assert counts is not None
            instructions = Instructions(sum(counts))
            stack = max(proof.emulated.stack_bytes, self_test.stack_bytes)
            report = replace(
                report,
                instructions=instructions,
                layers=layers_of(compiled, counts),
                ram=replace(report.ram, stack_measured_bytes=stack),
            )
            per_mac = f", {instructions.total / report.computed_macs:.2f} per MAC" if report.computed_macs else ""
            _require_self_test(self_test)
            step.say(
                f"{instructions.total:,} instructions on {plan.target.machine}{per_mac}; stack {stack:,} B measured; "
                "the firmware's self-test passes",
                *plan.target.emulation_notes,
            )
    with deployment.reporter.step("rounding") as step:
        rounding = ordinary_runtimes(compiled.source_graph, model.tflite, inputs, proof.golden_outputs)
        report = replace(report, accumulated_rounding=rounding)
        differing = (
            f"{name} " + ("cannot run it" if isinstance(r, NotDone) else f"{r.differing_share:.2%} by up to {r.max_lsb} LSB")
            for name, r in rounding.items()
        )
        step.say(f"outputs of float-rounding runtimes that differ: {', '.join(differing)}")
    if model.labelled is not None:
        with deployment.reporter.step("accuracy") as step:
            accuracy = _accuracy(deployment, model.labelled, linked if plan.emulate else None, step.progress)
            report = replace(report, accuracy=accuracy)
            emulated = "not run" if accuracy.emulated is None else f"{accuracy.emulated:.2%}"
            in_float = "" if accuracy.float is None else f"float {accuracy.float:.2%}, "
            step.say(f"{in_float}int8 {accuracy.int8:.2%}, emulated {emulated} of {accuracy.images} held-out images")
    return report


def _run_at_real_addresses(deployment: _Deployment) -> None:
    """Where QEMU has the chip itself: a second firmware at the chip's own addresses, which says PASS on its UART."""
    plan = deployment.plan
    board = REAL_ADDRESS_BOARDS.get(plan.target.name)
    if board is None:
        return
    with deployment.reporter.step(board.machine) as step:
        try:
            linked = link(deployment.compiled.library, plan, deployment.folder, deployment.host, board)
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


def _accuracy(deployment: _Deployment, labelled: LabelledInputs, linked: FittedFirmware | None, progress: Progress) -> Accuracy:
    """Shares of held-out images that the C gets right; raises `NumbersDiffer` where host and board give other outputs."""
    library = deployment.compiled.library
    output, *_ = library.outputs
    sets = [{name: values[index] for name, values in labelled.inputs.items()} for index in range(len(labelled.labels))]

    def share_right(results: Sequence[SetResult]) -> float:
        return float(np.mean([int(np.argmax(result.outputs[output.name])) for result in results] == labelled.labels))

    on_host = deployment.host.run_many(sets, trace=False)
    emulated = None
    if linked is not None:
        run = run_emulated(linked.firmware, library, sets, trace=False, count=False, timeout_s=600, progress=progress)
        for index, (left, right) in enumerate(zip(on_host, run.sets, strict=True)):
            for port in library.outputs:
                if not np.array_equal(left.outputs[port.name], right.outputs[port.name]):
                    raise NumbersDiffer(
                        f"held-out image {index}: {port.name} differs between the C on the host and the emulated board"
                    )
        emulated = share_right(run.sets)
    return Accuracy(len(sets), share_right(on_host), emulated, labelled.float_accuracy)


def _write_models(model: QuantizedModel, compiled: Compiled, folder: Path) -> None:
    (folder / "model.tflite").write_bytes(model.tflite)
    if model.onnx is not None:
        (folder / "model.onnx").write_bytes(model.onnx)
    twin: onnx.ModelProto = build_twin(compiled.source_graph)
    (folder / "golden.onnx").write_bytes(twin.SerializeToString(deterministic=True))


def _link_line(linked: FittedFirmware, target: Target) -> str:
    used, budget = linked.elf_info.flash_bytes, target.flash_bytes
    ram, ram_budget = linked.placement.used_bytes, target.ram_bytes
    arena, stack = linked.placement.arena.size_bytes, linked.placement.stack.size_bytes
    return (
        f"flash {used:,} of {budget:,} B ({used / budget:.1%}), RAM {ram:,} of {ram_budget:,} B ({ram / ram_budget:.1%}): "
        f"arena {arena:,}, stack {stack:,}, statics {linked.elf_info.static_bytes:,}"
    )
