"""What the command line calls: one function a command, each returning the text for standard output."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from ..codegen.compiler import compile_tflite
from ..codegen.targets import get_target
from ..codegen.text import format_graph, format_plan
from ..codegen.tflite_reader import read_tflite
from ..errors import BadData, BadModel, UsageError
from ..quoting import visible
from ..report.read_report import read_report
from ..verify.firmware_text import firmware_names
from .console import Reporter
from .extras import require_torch
from .manifest import Kind
from .network import NetworkRequest, inputs_for_any_model, prepare_network
from .output_folder import output_folder, require_replaceable
from .ownership import shown
from .quantizing import quantize_network
from .regular_file import read_regular
from .road import REAL_INPUTS, require_road_tools, walk
from .subject import Plan, Subject
from .verdict import format_report

_MOST_REPORT_BYTES = 64 << 20
# of C and of its libraries: a header of ours with such a name would be found in place of theirs
_STANDARD_HEADERS = (
    "alloca assert complex ctype endian errno features fenv float inttypes iso646 limits locale malloc math newlib sched setjmp "
    "signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar "
    "unistd wchar wctype"
)


def export_network(
    request: NetworkRequest, target_name: str, out: Path | None, emit: str | None, *, emulate: bool, as_json: bool, optimize: str
) -> str:
    """`flynet-tiny export`: a FlyNet to a folder with a verdict."""
    plan = Plan(get_target(target_name), emulate, request.seed, optimize)
    if request.checkpoint is None:
        request.config()  # bad options are refused before anything is loaded
    require_torch()
    if emit is None:
        _prepare(plan, out)
    reporter = Reporter()
    reporter.title(f"flynet-tiny export for {plan.target.name} ({plan.target.part}, {plan.target.core.value})")
    network = prepare_network(request, reporter)
    out = out or Path(f"{network.name}-{plan.target.name}")
    if emit is None:
        require_replaceable(out, Kind.NETWORK)
    subject = quantize_network(network, reporter)
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
    data = _read(model)
    c_name = _c_name(name if name is not None else model.stem, is_given=name is not None)
    graph = read_tflite(data, c_name)
    out = out or Path(f"{c_name}-{plan.target.name}")
    if emit is None:
        _prepare(plan, out)
    reporter = Reporter()
    reporter.title(f"flynet-tiny compile {model.name} for {plan.target.name} ({plan.target.part}, {plan.target.core.value})")
    inputs = inputs_for_any_model(graph.tensor(graph.inputs[0]), REAL_INPUTS, seed)
    return _finish(Subject(c_name, model.stem, data, inputs, None), plan, out, emit, as_json, reporter)


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
    require_road_tools(plan)
    if out is not None:
        require_replaceable(out, Kind.NETWORK)


def _finish(subject: Subject, plan: Plan, out: Path, emit: str | None, as_json: bool, reporter: Reporter) -> str:
    if emit is not None:
        return _emitted(subject, plan, emit)
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
    compiled = compile_tflite(subject.tflite, subject.name, plan.target.name, plan.effort)
    if emit == "ir":
        return format_graph(compiled.source_graph) + "\n" + format_graph(compiled.graph)
    if emit == "plan":
        return format_plan(compiled)
    return compiled.library.files[f"{subject.name}.c"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror}") from error


def _c_name(name: str, is_given: bool) -> str:
    """A C prefix: the given one must be an identifier, a file's name is made one; names of other C files are taken."""
    if is_given and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", name):
        raise UsageError(f"--name {name!r} must be a C identifier of at most 40 characters")
    cleaned = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_").lower()[:40]
    is_taken = cleaned in {*_STANDARD_HEADERS.split(), *firmware_names()}
    if is_given and is_taken:
        raise UsageError(f"--name {name} is taken: a header of C or a file of the firmware has this name; try net_{name}")
    return cleaned if cleaned and cleaned[0].isalpha() and not is_taken else f"net_{cleaned}".rstrip("_")
