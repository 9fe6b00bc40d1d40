"""What the command line calls: one function a command, each returning the text for standard output.

The judges, the network's room and the terminal's are imported when their turn comes: a file that is refused costs no more than
to read it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..codegen.compiler import compile_tflite
from ..codegen.text import format_graph, format_plan
from ..deploy.library_name import given_library_name, library_name
from ..deploy.quantized_model import DeploymentPlan, QuantizedModel
from ..deploy.request import DeploymentRequest, Emit, SourceRequest
from ..errors import BadData
from ..folders.manifest import Kind
from ..folders.output_folder import require_replaceable
from ..folders.ownership import shown
from ..folders.regular_file import read_regular
from ..report.read_report import read_report
from ..report.text import format_report
from ..sources.extras import require_torch
from .compiling import NOTHING_SAID, Model, deploy, prepare, quantize

if TYPE_CHECKING:
    from ..deploy.console import Reporter
    from ..deploy.network import NetworkRequest

_MOST_REPORT_BYTES = 64 << 20


def export_network(request: NetworkRequest, deployment: DeploymentRequest) -> str:
    """`flynet-tiny export`: a network that is registered, to a folder with C, firmware, proof and report."""
    given = None if deployment.name is None else given_library_name(deployment.name)
    plan = deployment.plan()
    if request.checkpoint is None:
        request.config()  # bad options are refused before anything is loaded
    require_torch()
    if deployment.emit is None:
        prepare(plan, deployment.out)
    from ..deploy.console import Reporter
    from ..deploy.network import prepare_network
    from ..deploy.quantizing import quantize_network

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


def compile_model(model: Path | str, deployment: DeploymentRequest, given: SourceRequest = NOTHING_SAID) -> str:
    """`flynet-tiny compile`: a model of any kind to a folder with C, firmware, proof and report."""
    plan = deployment.plan()
    asked = Model.asked(str(model), given)
    name = library_name(asked.title) if deployment.name is None else given_library_name(deployment.name)
    out = deployment.out or Path(f"{name}-{plan.target.name}")
    # an int8 file is read before anything is asked of the machine, a float network is loaded when all is ready
    quantized = quantize(asked, None, deployment.name, plan, emits=deployment.emit is not None) if asked.is_int8 else None
    if deployment.emit is None:
        prepare(plan, out)
    from ..deploy.console import Reporter

    reporter = Reporter()
    reporter.title(f"flynet-tiny compile {asked.shown} for {_chip(plan)}")
    quantized = quantized or quantize(asked, reporter, deployment.name)
    return _deployed(quantized, plan, replace(deployment, out=out), reporter)


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


def _deployed(model: QuantizedModel, plan: DeploymentPlan, request: DeploymentRequest, reporter: Reporter) -> str:
    """What the command prints, after the folder is written, or in place of one."""
    if request.emit is not None:
        return _emitted(model, plan, request.emit)
    deployment = deploy(model, plan, request.out, reporter)
    if deployment.over_budget is not None:
        if request.as_json:
            print(deployment.report.to_json(), end="", flush=True)
        raise deployment.over_budget
    return deployment.report.to_json() if request.as_json else "\n" + format_report(deployment.report)


def _emitted(model: QuantizedModel, plan: DeploymentPlan, emit: Emit) -> str:
    compiled = compile_tflite(model.tflite, model.name, plan.build)
    if emit is Emit.IR:
        graphs = {"as the file has it": compiled.source_graph, "as compiled": compiled.graph}
        return "\n".join(f"# {which}\n{format_graph(graph)}" for which, graph in graphs.items())
    if emit is Emit.PLAN:
        return format_plan(compiled)
    return compiled.library.files[f"{model.name}.c"]
