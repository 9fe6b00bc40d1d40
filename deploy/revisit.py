"""Coming back to an output folder: prove it again on fresh inputs, or run its firmware on one input."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..codegen.compiler import Compiled, compile_tflite
from ..codegen.ir import Tensor
from ..codegen.targets import Target, get_target, place
from ..errors import BadData
from ..flynet.data import centre_crop, normalise
from ..flynet.picture_file import read_image
from ..quoting import ForeignText
from ..verify.board import board_for
from ..verify.firmware import BuiltFirmware
from ..verify.host_c import HostLibrary
from ..verify.qemu import run_emulated
from ..verify.toolchain import Tool, require_tools
from .building import FIRMWARE_FOLDER, link, write_library
from .console import Reporter
from .judging import judge, test_inputs
from .network import inputs_for_any_model, quantize_images
from .subject import Plan

Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Revisited:
    """An output folder as it is now: its model compiled again, but with the C files that lie in the folder."""

    folder: Path
    tflite: bytes
    compiled: Compiled
    plan: Plan
    report: dict[str, Any]

    @property
    def target(self) -> Target:
        return self.plan.target

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.report["model"].get("class_names", ()))


def revisit(folder: Path) -> Revisited:
    """Read an output folder; raises `BadData` naming what is missing."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        tflite = (folder / "model.tflite").read_bytes()
        headers = sorted(folder.glob("*_weights.h"))
        if not headers:
            raise BadData(f"{folder} holds no generated C library")
        name = headers[0].name.removesuffix("_weights.h")
        target = get_target(report["target"]["name"])
        plan = Plan(target, emulate=True, optimize=report["target"]["optimize"])
        compiled = compile_tflite(tflite, name, target.name, plan.effort)
        files = {file: (folder / file).read_text(encoding="utf-8") for file in compiled.library.files}
    except OSError as error:
        raise BadData(f"{folder} is no output folder of ours: cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{folder}/report.json is damaged: {error}") from error
    return Revisited(folder, tflite, replace(compiled, library=replace(compiled.library, files=files)), plan, report)


def verify_folder(folder: Path, count: int, seed: int, *, emulate: bool) -> str:
    """`flynet-tiny verify`: the folder's own C, all judges, fresh inputs; raises `NumbersDiffer`."""
    found = revisit(folder)
    require_tools(Tool.CROSS_COMPILER, Tool.MAKE, Tool.HOST_COMPILER, *([Tool.EMULATOR] if emulate else []))
    reporter = Reporter()
    compiled = found.compiled
    graph = compiled.source_graph
    real = inputs_for_any_model(graph.tensor(graph.inputs[0]), count, seed)
    with tempfile.TemporaryDirectory(prefix="flynet-tiny-") as scratch, HostLibrary(compiled.library) as host:
        firmware = None
        if emulate:
            with reporter.step("link") as step:
                write_library(compiled.library, Path(scratch))
                firmware = link(compiled.library, found.plan, Path(scratch), host).firmware
                step.say("the folder's C, for the host and the emulated board")
        with reporter.step("verify") as step:
            inputs = test_inputs(compiled, real, count, seed)
            judgement = judge(compiled, found.tflite, host, firmware, inputs, step.progress)
            step.say("every tensor of every runtime is equal")
    lines = [
        f"{p.pair}: {p.inputs} inputs, {p.tensors} tensors, {p.bytes:,} bytes compared, {p.differing} bytes differing"
        for p in judgement.pairs
    ]
    return "\n".join([*lines, *judgement.notes]) + "\n"


def emulate_folder(folder: Path, picture: Path | None, top: int) -> str:
    """`flynet-tiny emulate`: the folder's firmware on one input; outputs, instructions and stack."""
    found = revisit(folder)
    require_tools(Tool.EMULATOR)
    if not found.report["fits"]:
        raise BadData(f"{folder} holds no firmware: the network does not fit {found.target.name}")
    library, graph = found.compiled.library, found.compiled.source_graph
    values = {name: _input(graph.tensor(name), picture) for name in graph.inputs}
    with Reporter().step("emulate") as step:
        run = run_emulated(built_firmware(found), library, [values], trace=False)
        step.say(f"{run.total_instructions:,} instructions on {found.target.machine}, stack {run.stack_bytes:,} B")
    lines = []
    for name in graph.outputs:
        tensor = graph.tensor(name)
        stored = run.sets[0].outputs[name].reshape(-1).astype(np.int64)
        order = np.argsort(-stored, kind="stable")[:top]
        lines.append(f"{tensor.source_name or name}: the {len(order)} largest of {stored.size}")
        classes = found.class_names if len(found.class_names) == stored.size else ()
        for i in order:
            real = (stored[i] - tensor.zero_point) * tensor.scale
            known = f"  {ForeignText(str(classes[i]))}" if classes else ""
            lines.append(f"  {i:>6}  {real:>12.5f}  (int8 {stored[i]}){known}")
    return "\n".join(lines) + "\n"


def built_firmware(found: Revisited) -> BuiltFirmware:
    """The ELFs that lie in the folder."""
    project, ram = found.folder / FIRMWARE_FOLDER, found.report["ram"]
    elf, harness = project / f"{found.compiled.library.name}.elf", project / "verify.elf"
    if not harness.is_file():
        raise BadData(f"{harness} is missing; build it with: make -C {project} verify")
    placement = place(found.target, ram["arena_bytes"], ram["stack_bytes"], ram["static_bytes"])
    return BuiltFirmware(elf, harness, project / "build", board_for(found.target), placement)


def _input(tensor: Tensor, picture: Path | None) -> Int8:
    """One int8 input from a picture, from an int8 .npy, or noise."""
    if picture is None:
        noise: Int8 = np.random.default_rng(0).integers(-128, 128, tensor.shape, np.int8)
        return noise
    if picture.suffix == ".npy":
        try:
            array = np.load(picture, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BadData(f"cannot read {picture}: {error}") from error
        if array.dtype != np.int8 or array.size != tensor.num_elements:
            raise BadData(f"{picture} holds {array.dtype}{list(array.shape)}, the network takes int8{list(tensor.shape)}")
        return np.ascontiguousarray(array.reshape(tensor.shape))
    if len(tensor.shape) != 4 or tensor.shape[1] != tensor.shape[2] or tensor.shape[3] not in (1, 3):
        raise BadData(f"the network takes {list(tensor.shape)}, which is no square picture; give an int8 .npy")
    pixels = centre_crop(read_image(picture), tensor.shape[1])
    return quantize_images(normalise(pixels[None], tensor.shape[3]), tensor)
