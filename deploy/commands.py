"""What the command line calls: one function a command, each returning the text for standard output.

The judges, the network's room and the terminal's are imported when their turn comes: a file that is refused costs no more than
to read it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..codegen.compiler import compile_tflite, require_possible
from ..codegen.schedule.least_memory import require_flash_for_weights
from ..codegen.targets import get_target
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
from .quantized_model import Plan, Subject

if TYPE_CHECKING:
    from .console import Reporter
    from .network import NetworkRequest

_MOST_REPORT_BYTES = 64 << 20


def export_network(
    request: NetworkRequest,
    target_name: str,
    out: Path | None,
    emit: str | None,
    *,
    emulate: bool,
    as_json: bool,
    optimize: str,
    name: str | None = None,
) -> str:
    """`flynet-tiny export`: a FlyNet to a folder with a verdict; `name` is the C library's, without one the network's own."""
    given = None if name is None else given_library_name(name)
    plan = Plan(get_target(target_name), emulate, request.seed, optimize)
    if request.checkpoint is None:
        request.config()  # bad options are refused before anything is loaded
    require_torch()
    if emit is None:
        _prepare(plan, out)
    from .console import Reporter
    from .network import prepare_network
    from .quantizing import quantize_network

    reporter = Reporter()
    reporter.title(f"flynet-tiny export for {plan.target.name} ({plan.target.part}, {plan.target.core.value})")
    network = prepare_network(request, reporter)
    out = out or Path(f"{network.name}-{plan.target.name}")
    if emit is None:
        require_replaceable(out, Kind.NETWORK)
    subject = quantize_network(network, reporter)
    if given is not None:
        subject = replace(subject, name=given)
    return _finish(subject, plan, out, emit, as_json, reporter)


def compile_model(
    model: Path,
    name: str | None,
    target_name: str,
    out: Path | None,
    emit: str | None,
    *,
    emulate: bool,
    as_json: bool,
    seed: int,
    optimize: str = "balanced",
) -> str:
    """`flynet-tiny compile`: any int8 `.tflite` to a folder with a verdict."""
    plan = Plan(get_target(target_name), emulate, seed, optimize)
    c_name = library_name(model.stem) if name is None else given_library_name(name)
    data, graph = open_tflite(model, c_name)
    require_possible(graph, plan.target.name)
    out = out or Path(f"{c_name}-{plan.target.name}")
    if emit is None:
        require_flash_for_weights(graph, plan.target.name)
        _prepare(plan, out)
    from .console import Reporter

    reporter = Reporter()
    chip = f"{plan.target.name} ({plan.target.part}, {plan.target.core.value})"
    reporter.title(f"flynet-tiny compile {visible(model.name)} for {chip}")
    return _finish(Subject(c_name, model.stem, data, None, None), plan, out, emit, as_json, reporter)


def print_report(folder: Path, as_json: bool) -> str:
    """`flynet-tiny report`: the verdict of an output folder."""
    path = folder / "report.json"
    try:
        content = read_regular(path, _MOST_REPORT_BYTES)
    except OSError as error:
        raise BadData(f"cannot read {shown(path)}: {error.strerror}") from error
    report = read_report(content, shown(path))
    try:
        return content.decode() if as_json else format_report(asdict(report))
    except (ArithmeticError, TypeError) as error:  # values of the right types: a budget of 0, a null that another value forbids
        raise BadData(f"{shown(path)} is damaged: its figures contradict each other ({error})") from error


def _prepare(plan: Plan, out: Path | None) -> None:
    """Fail before any work when a program is missing or the output folder is taken."""
    from .pipeline import require_road_tools

    require_road_tools(plan)
    if out is not None:
        require_replaceable(out, Kind.NETWORK)


def _finish(subject: Subject, plan: Plan, out: Path, emit: str | None, as_json: bool, reporter: Reporter) -> str:
    if emit is not None:
        return _emitted(subject, plan, emit)
    from .pipeline import walk

    with output_folder(out, Kind.NETWORK) as folder:
        verdict = walk(subject, plan, folder, reporter)
    reporter.line("written", visible(str(out)))
    text = verdict.report.to_json()
    if verdict.over_budget is not None:
        if as_json:
            print(text, end="", flush=True)
        raise verdict.over_budget
    return text if as_json else "\n" + format_report(json.loads(text))


def _emitted(subject: Subject, plan: Plan, emit: str) -> str:
    compiled = compile_tflite(subject.tflite, subject.name, plan.build)
    if emit == "ir":
        return format_graph(compiled.source_graph) + "\n" + format_graph(compiled.graph)
    if emit == "plan":
        return format_plan(compiled)
    return compiled.library.files[f"{subject.name}.c"]
