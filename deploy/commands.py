"""What the command line calls: one function a command, each returning the text for standard output.

The judges, the network's room and the terminal's are imported when their turn comes: a file that is refused costs no more than
to read it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..codegen.compiler import compile_tflite, require_possible
from ..codegen.minimise.minimise import minimise
from ..codegen.schedule.least_memory import require_flash_for_weights
from ..codegen.text import format_graph, format_plan
from ..errors import BadData
from ..folders.manifest import Kind
from ..folders.output_folder import output_folder, require_replaceable
from ..folders.ownership import shown
from ..folders.regular_file import read_regular
from ..quoting import visible
from ..report.read_report import read_report
from ..report.text import format_report
from .extras import require_torch
from .library_name import given_library_name, library_name
from .model_file import open_tflite
from .quantized_model import DeploymentPlan, QuantizedModel
from .request import DeploymentRequest, Emit

if TYPE_CHECKING:
    from .console import Reporter
    from .network import NetworkRequest

_MOST_REPORT_BYTES = 64 << 20


def export_network(request: NetworkRequest, deployment: DeploymentRequest) -> str:
    """`flynet-tiny export`: a network that is registered, to a folder with C, firmware, proof and report."""
    given = None if deployment.name is None else given_library_name(deployment.name)
    plan = deployment.plan()
    if request.checkpoint is None:
        request.config()  # bad options are refused before anything is loaded
    require_torch()
    if deployment.emit is None:
        _prepare(plan, deployment.out)
    from .console import Reporter
    from .network import prepare_network
    from .quantizing import quantize_network

    reporter = Reporter()
    reporter.title(f"flynet-tiny export for {_chip(plan)}")
    network = prepare_network(request, reporter)
    out = deployment.out or Path(f"{network.name}-{plan.target.name}")
    if deployment.emit is None:
        require_replaceable(out, Kind.NETWORK)
    model = quantize_network(network, reporter)
    if given is not None:
        model = replace(model, name=given)
    return _deployed(model, plan, replace(deployment, out=out), reporter)


def compile_model(file: Path, deployment: DeploymentRequest) -> str:
    """`flynet-tiny compile`: any int8 `.tflite` to a folder with C, firmware, proof and report."""
    plan = deployment.plan()
    name = library_name(file.stem) if deployment.name is None else given_library_name(deployment.name)
    data, graph = open_tflite(file, name)
    require_possible(graph, plan.target.name)
    out = deployment.out or Path(f"{name}-{plan.target.name}")
    if deployment.emit is None:
        require_flash_for_weights(minimise(graph).graph if plan.minimise else graph, plan.target.name)
        _prepare(plan, out)
    from .console import Reporter

    reporter = Reporter()
    reporter.title(f"flynet-tiny compile {visible(file.name)} for {_chip(plan)}")
    model = QuantizedModel(name, file.stem, data, real_inputs=None, trained=None)
    return _deployed(model, plan, replace(deployment, out=out), reporter)


def print_report(folder: Path, as_json: bool) -> str:
    """`flynet-tiny report`: the report of an output folder."""
    path = folder / "report.json"
    try:
        content = read_regular(path, _MOST_REPORT_BYTES)
    except OSError as error:
        raise BadData(f"cannot read {shown(path)}: {error.strerror}") from error
    report = read_report(content, shown(path))
    return content.decode() if as_json else format_report(report)


def _chip(plan: DeploymentPlan) -> str:
    return f"{plan.target.name} ({plan.target.part}, {plan.target.core.value})"


def _prepare(plan: DeploymentPlan, out: Path | None) -> None:
    """Fail before any work when a program is missing or the output folder is taken."""
    from .pipeline import require_deployment_tools

    require_deployment_tools(plan)
    if out is not None:
        require_replaceable(out, Kind.NETWORK)


def _deployed(model: QuantizedModel, plan: DeploymentPlan, request: DeploymentRequest, reporter: Reporter) -> str:
    """What the command prints, after the folder is written, or in place of one."""
    if request.emit is not None:
        return _emitted(model, plan, request.emit)
    from .pipeline import deploy_model

    assert request.out is not None
    with output_folder(request.out, Kind.NETWORK) as folder:
        deployed = deploy_model(model, plan, folder, reporter)
    reporter.line("written", visible(str(request.out)))
    if deployed.over_budget is not None:
        if request.as_json:
            print(deployed.report.to_json(), end="", flush=True)
        raise deployed.over_budget
    return deployed.report.to_json() if request.as_json else "\n" + format_report(deployed.report)


def _emitted(model: QuantizedModel, plan: DeploymentPlan, emit: Emit) -> str:
    compiled = compile_tflite(model.tflite, model.name, plan.build)
    if emit is Emit.IR:
        graphs = {"as the file has it": compiled.source_graph, "as compiled": compiled.graph}
        return "\n".join(f"# {which}\n{format_graph(graph)}" for which, graph in graphs.items())
    if emit is Emit.PLAN:
        return format_plan(compiled)
    return compiled.library.files[f"{model.name}.c"]
