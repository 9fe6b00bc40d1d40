"""`flynet-tiny bench`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..codegen.targets import get_target
from ..codegen.tflite_reader import read_tflite
from ..deploy.console import Reporter
from ..deploy.extras import require_torch
from ..deploy.model_file import open_tflite
from ..deploy.network import NetworkRequest, prepare_network
from ..deploy.quantizing import quantize_network
from ..firmware.toolchain import Tool, require_tools
from ..folders.manifest import Kind
from ..folders.output_folder import output_folder, require_replaceable
from ..quoting import visible
from .measure import Measured, measure, measure_layers, measure_mobilenet
from .present import as_chart, as_json, as_table, files_as_table
from .public_files import Refused, measure_files

# name, network, and the chip where it is not the one that was asked for
FLYNETS = (
    ("flynet-h3-0.4x-224", NetworkRequest(), None),
    ("flynet-h3-0.4x-32", NetworkRequest(resolution=32, classes=10), None),
    ("flynet-h3-0.5x-224 (M7)", NetworkRequest(width=0.5), "stm32h743"),
)


def bench(
    target_name: str, model: Path | None, models: Path | None, layers_only: bool, out: Path | None, json_wanted: bool
) -> str:
    """Measure the peers' layers and whole networks, or one model, or the files of a folder; return a table or JSON.

    out  gets the JSON and a bar chart
    """
    target = get_target(target_name)
    if model is None and models is None and not layers_only:
        require_torch()  # for the FlyNets
    require_tools(Tool.CROSS_COMPILER, Tool.MAKE, Tool.EMULATOR)
    if out is not None:
        require_replaceable(out, Kind.BENCH)
    reporter = Reporter()
    reporter.title(f"flynet-tiny bench on {target.name}, emulated {target.machine}: instructions, not cycles")
    layers: list[Measured] = []
    networks: list[Measured] = []
    refused: list[Refused] = []
    rows: list[Measured | Refused] = []
    if model is not None:
        data, graph = open_tflite(model, "model")
        with reporter.step("model") as step:
            networks.append(measure(model.name, graph, target, hashlib.sha256(data).hexdigest()))
            step.say(str(model))
    elif models is not None:
        with reporter.step("models") as step:
            rows = measure_files(models, target, step.progress)
            networks = [row for row in rows if isinstance(row, Measured)]
            refused = [row for row in rows if isinstance(row, Refused)]
            step.say(f"{len(networks)} files, outputs equal to the reference; {len(refused)} without figures")
    else:
        with reporter.step("layers") as step:
            layers = measure_layers(target, step.progress)
            step.say(f"{len(layers)} layers, outputs equal to the reference")
        if not layers_only:
            with reporter.step("mobilenet") as step:
                networks.append(measure_mobilenet(target))
                step.say("MobileNetV1 0.25, 96x96")
            for name, request, other in FLYNETS:
                subject = quantize_network(prepare_network(request, reporter), reporter)
                with reporter.step("flynet") as step:
                    networks.append(measure(name, read_tflite(subject.tflite, "flynet"), get_target(other) if other else target))
                    step.say(name)
    text = as_json(target.name, layers, networks, refused)
    if out is not None:
        with output_folder(out, Kind.BENCH) as folder:
            (folder / "bench.json").write_text(text, encoding="utf-8")
            (folder / "bench.svg").write_text(as_chart([*layers, *networks]), encoding="utf-8")
        reporter.line("written", visible(f"{out}/bench.json, {out}/bench.svg"))
    if json_wanted:
        return text
    return files_as_table(rows) if rows else as_table([*layers, *networks])
