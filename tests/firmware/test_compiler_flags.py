"""The generated firmware with other flags than its own: it links, passes its self-test, and the harness proves every tensor."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.compiler import Compiled, compile_tflite
from flynet_tiny.codegen.reference import run
from flynet_tiny.codegen.targets import get_target
from flynet_tiny.firmware.elf import read_elf
from flynet_tiny.firmware.project import FittedFirmware, fit_firmware, output_hash, self_test_inputs
from flynet_tiny.firmware.toolchain import Tool, find_tool, run_tool
from flynet_tiny.verify.qemu import run_emulated, run_self_test

from ..small_models import attention_block

STACK_BYTES = 1024


@dataclass(frozen=True, eq=False)
class Made:
    compiled: Compiled
    fitted: FittedFirmware
    folder: Path
    expected: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    compiled = compile_tflite(attention_block(seed=3), "net", build_named("stm32f412"))
    library, graph = compiled.library, compiled.source_graph
    shapes = {name: graph.tensor(name).shape for name in graph.inputs}
    (flat,) = self_test_inputs(library)
    expected = run(graph, {name: flat[name].reshape(shape) for name, shape in shapes.items()})
    folder = tmp_path_factory.mktemp("flags") / "firmware"
    outputs = {name: expected[name] for name in graph.outputs}
    fitted = fit_firmware(library, get_target("stm32f412"), folder, output_hash(library, [outputs]), verify=False)
    shutil.rmtree(fitted.firmware.objects)
    return Made(compiled, fitted, folder, expected)


@pytest.mark.parametrize("flags", ["-O0", "-O2 -flto", "-Os -funsigned-char -fshort-enums", "-Og -fno-builtin"])
def test_a_firmware_links_and_runs_with_other_flags(tmp_path: Path, made: Made, flags: str) -> None:
    folder = tmp_path / "firmware"
    shutil.copytree(made.folder, folder)
    run_tool([find_tool(Tool.MAKE), "-s", "clean"], folder)
    run_tool([find_tool(Tool.MAKE), "-s", f"OPT={flags}", f"STACK_BYTES={STACK_BYTES}", "all", "verify"], folder)
    firmware = made.fitted.firmware
    built = type(firmware)(folder / "net.elf", folder / "verify.elf", folder / "build", firmware.board, firmware.placement)
    info = read_elf(built.elf)
    assert info.stack_bytes == STACK_BYTES
    assert info.weights_bytes == made.fitted.elf_info.weights_bytes, "constants stay where the linker script wants them"
    assert run_self_test(built).passed
    inputs = {name: values.reshape(-1) for name, values in self_test_inputs(made.compiled.library)[0].items()}
    found = run_emulated(built, made.compiled.library, [inputs]).sets[0]
    assert len(found.tensors) > 10
    for name, values in found.tensors.items():
        assert np.array_equal(values.reshape(-1), made.expected[name].reshape(-1)), name


def test_the_bound_of_the_invocation_is_a_part_of_the_firmwares(made: Made) -> None:
    assert 0 < made.fitted.invoke_stack_bytes < made.fitted.stack_bound_bytes
    assert made.fitted.built_with.startswith("arm-none-eabi-gcc ")
    assert made.fitted.built_with.endswith(" -mfloat-abi=hard -O3")
