"""`flynet-tiny verify`: prove again what an output folder holds, on fresh inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..codegen.ir import Graph
from ..errors import BadData, EmulationFailed, FlynetError, NumbersDiffer
from ..firmware.project import BuiltFirmware
from ..firmware.toolchain import Tool, require_tools
from ..folders.ownership import shown
from ..quoting import visible
from ..verify.onnx_twin import OnnxTwin
from ..verify.qemu import run_self_test
from .console import Reporter
from .contents import Contents, built_firmware, host_library, other_firmware, read_contents
from .network import inputs_for_any_model
from .proof import CANNOT_RUN, Proof, Runtimes, first_line, prove, test_inputs


def verify_folder(folder: Path, count: int, seed: int, *, emulate: bool) -> str:
    """`flynet-tiny verify`: the folder's own C, golden.onnx and ELFs, all judges, fresh inputs.

    Raises `NumbersDiffer` for the first tensor that differs, and else `BadData` for a file that is not as it was written:
    also a change that keeps every number is named.
    """
    found = read_contents(folder)
    emulate = emulate and found.report.fits
    require_tools(Tool.HOST_COMPILER, *([Tool.EMULATOR] if emulate else []))
    reporter = Reporter()
    found.say_changed(reporter)
    try:
        proof = _prove(found, count, seed, built_firmware(found) if emulate else None, reporter)
    except (NumbersDiffer, EmulationFailed) as error:
        raise _naming_changes(error, found) from error
    if found.changed:
        raise BadData(
            f"{shown(found.folder)} is not as it was written: changed {_list(found.changed)}; every tensor is equal all the same"
        )
    return "\n".join(proof.lines) + "\n"


def _prove(found: Contents, count: int, seed: int, firmware: BuiltFirmware | None, reporter: Reporter) -> Proof:
    """Every judge on fresh inputs, then the self-test of every ELF."""
    compiled = found.compiled
    graph = compiled.source_graph
    golden = _golden(found, graph)
    real = {graph.inputs[0]: inputs_for_any_model(graph.tensor(graph.inputs[0]), count, seed)}
    with host_library(found) as host, reporter.step("verify") as step:
        inputs = test_inputs(compiled, real, count, seed)
        proof = prove(Runtimes(compiled, found.tflite, host, firmware, golden), inputs, step.progress)
        step.say(proof.summary)
    if firmware is not None:
        with reporter.step("self-test") as step:
            elfs = (firmware, *other_firmware(found))
            for each in elfs:
                _require_self_test(found, each)
            step.say(f"passes in {_list(tuple(str(each.elf.relative_to(found.folder)) for each in elfs))}")
    elif not found.report.fits:
        reporter.line("", f"no firmware: the network does not fit {found.target.name}")
    return proof


def _require_self_test(found: Contents, firmware: BuiltFirmware) -> None:
    result = run_self_test(firmware, count=False)
    if not result.passed:
        elf = firmware.elf.relative_to(found.folder)
        raise NumbersDiffer(f"the self-test of {elf} fails on the emulated board: {visible(result.output.strip()[-200:])}")


def _golden(found: Contents, graph: Graph) -> bytes:
    """The folder's golden.onnx, which can be loaded and has the graph's inputs and outputs."""
    content = found.read("golden.onnx")
    name = f"{shown(found.folder)}/golden.onnx"
    try:
        twin = OnnxTwin(graph, content)
        tried = twin.run({name: np.zeros(graph.tensor(name).shape, graph.tensor(name).dtype.value) for name in graph.inputs})
    except CANNOT_RUN as error:
        raise BadData(f"onnxruntime cannot run {name}: {visible(first_line(error))}; compile the model again") from error
    for output in graph.outputs:
        wanted, given = graph.tensor(output), tried.get(output)
        if given is None or given.shape != wanted.shape or given.dtype.name != wanted.dtype.value:
            raise BadData(f"{name} is not the twin of model.tflite: it lacks the output {output!r}; compile the model again")
    return content


def _naming_changes(error: FlynetError, found: Contents) -> FlynetError:
    """The same mistake, with the files that were changed as a likely cause."""
    files = (*found.changed, *found.survey.rebuilt)
    return type(error)(f"{error}; not as it was written: {_list(files)}") if files else error


def _list(paths: tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(shown(path) for path in paths[:most]) + more
