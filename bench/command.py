"""`flynet-tiny bench`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..codegen.targets import Target, get_target
from ..codegen.tflite_reader import read_tflite
from ..deploy.console import Reporter
from ..deploy.model_file import open_tflite
from ..deploy.network import NetworkRequest, prepare_network
from ..deploy.quantizing import quantize_network
from ..firmware.toolchain import Tool, require_tools
from ..folders.manifest import Kind
from ..folders.output_folder import output_folder, require_replaceable
from ..quoting import visible
from ..sources.extras import require_torch
from .measure import Measured, measure, measure_layers, measure_mobilenet
from .present import as_chart, as_json, as_table, files_as_table
from .public_files import Refused, measure_files

# name, network, and the chip where it is not the one that was asked for
FLYNETS = (
    ("flynet-h3-0.4x-224", NetworkRequest(), None),
    ("flynet-h3-0.4x-32", NetworkRequest(resolution=32, classes=10), None),
    ("flynet-h3-0.5x-224 (M7)", NetworkRequest(width=0.5), "stm32h743"),
)


@dataclass(frozen=True)
class BenchRequest:
    """What the user asked for: the peers' layers and whole networks, or one model, or the files of a folder.

    target       name of the chip;  out  gets the JSON and a bar chart
    layers_only  without the networks
    """

    target: str
    model: Path | None = None
    models: Path | None = None
    layers_only: bool = False
    out: Path | None = None
    as_json: bool = False


@dataclass(frozen=True)
class _Found:
    """What was measured; `files` are the rows of a folder, in its order."""

    layers: Sequence[Measured] = ()
    networks: Sequence[Measured] = ()
    refused: Sequence[Refused] = ()
    files: Sequence[Measured | Refused] = ()


def run_bench(request: BenchRequest) -> str:
    """Measure what was asked for; return a table or JSON."""
    target = get_target(request.target)
    if request.model is None and request.models is None and not request.layers_only:
        require_torch()  # for the FlyNets
    require_tools(Tool.CROSS_COMPILER, Tool.MAKE, Tool.EMULATOR)
    if request.out is not None:
        require_replaceable(request.out, Kind.BENCH)
    reporter = Reporter()
    reporter.title(f"flynet-tiny bench on {target.name}, emulated {target.machine}: instructions, not cycles")
    if request.model is not None:
        found = _one_model(request.model, target, reporter)
    elif request.models is not None:
        found = _folder(request.models, target, reporter)
    else:
        found = _peers_layers(target, reporter, with_networks=not request.layers_only)
    everything = [*found.layers, *found.networks]
    text = as_json(target.name, found.layers, found.networks, found.refused)
    if request.out is not None:
        with output_folder(request.out, Kind.BENCH) as folder:
            (folder / "bench.json").write_text(text, encoding="utf-8")
            (folder / "bench.svg").write_text(as_chart(everything), encoding="utf-8")
        reporter.line("written", visible(f"{request.out}/bench.json, {request.out}/bench.svg"))
    if request.as_json:
        return text
    return files_as_table(found.files) if found.files else as_table(everything)


def _one_model(file: Path, target: Target, reporter: Reporter) -> _Found:
    data, graph = open_tflite(file, "model")
    with reporter.step("model") as step:
        measured = measure(file.name, graph, target, hashlib.sha256(data).hexdigest())
        step.say(str(file))
    return _Found(networks=[measured])


def _folder(folder: Path, target: Target, reporter: Reporter) -> _Found:
    with reporter.step("models") as step:
        rows = measure_files(folder, target, step.progress)
        networks = [row for row in rows if isinstance(row, Measured)]
        refused = [row for row in rows if isinstance(row, Refused)]
        step.say(f"{len(networks)} files, outputs equal to the reference; {len(refused)} without figures")
    return _Found(networks=networks, refused=refused, files=rows)


def _peers_layers(target: Target, reporter: Reporter, with_networks: bool) -> _Found:
    with reporter.step("layers") as step:
        layers = measure_layers(target, step.progress)
        step.say(f"{len(layers)} layers, outputs equal to the reference")
    if not with_networks:
        return _Found(layers)
    with reporter.step("mobilenet") as step:
        networks = [measure_mobilenet(target)]
        step.say("MobileNetV1 0.25, 96x96")
    for name, request, other in FLYNETS:
        model = quantize_network(prepare_network(request, reporter), reporter)
        with reporter.step("flynet") as step:
            networks.append(measure(name, read_tflite(model.tflite, "flynet"), get_target(other) if other else target))
            step.say(name)
    return _Found(layers, networks)
