"""Run kernels by themselves, many in one program, on the host and on an emulated core, against expected bytes.

A `KernelCase` is one kernel call with its inputs and the outputs that they must give. `run_on_host` and `run_on_arm` build one
program of all cases. Each case runs with its buffers apart, then once for each sharing that its call promises, its output
overlapping that input as closely as the promise allows. The program compares the outputs and finds bytes changed outside of
them, or in an input that is not shared. With the sanitizers, every buffer is an allocation of its own of the exact size.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flynet_tiny.codegen import c_format, reference
from flynet_tiny.codegen.build import BALANCED, Level
from flynet_tiny.codegen.emit import template_environment
from flynet_tiny.codegen.functions import Function, LayerCall, OperandTypes, layer_calls, with_helpers
from flynet_tiny.codegen.intrinsics import intrinsics as shared_c
from flynet_tiny.codegen.ir import Graph, Op
from flynet_tiny.codegen.kernels.base import KernelCall, RowSchedule
from flynet_tiny.codegen.own_functions import with_own_functions
from flynet_tiny.codegen.targets import Core

Stored = npt.NDArray[np.integer]

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
COMMON_FLAGS = ["-O3", "-mthumb", "-ffunction-sections", "-fdata-sections"]
CORE_FLAGS = {
    Core.CORTEX_M4: ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
    Core.CORTEX_M3: ["-mcpu=cortex-m3"],
    Core.CORTEX_M0PLUS: ["-mcpu=cortex-m0plus"],
}
ALIGN_BYTES = 16
INSTRUCTIONS_PER_BYTE = 20.0  # of a network that the cases would be layers of
NANOSECONDS_PER_TICK = 40
NANOSECONDS_PER_INSTRUCTION = 1024
HERE = Path(__file__).parent
ELF = "cases.elf"


@dataclass(frozen=True, eq=False)
class KernelCase:
    """One call, the bytes of its inputs and those that its outputs must have, by tensor name."""

    name: str
    call: KernelCall
    inputs: Mapping[str, Stored]
    outputs: Mapping[str, Stored]


@dataclass(frozen=True)
class Measured:
    """What a case cost on the emulated core: exact instructions, and the bytes of its function's code."""

    instructions: int
    code_bytes: int


def case_of(name: str, op: Op, graph: Graph, call: KernelCall, inputs: Mapping[str, Stored]) -> KernelCase:
    """A case whose expected outputs are the reference interpreter's."""
    values = reference.run_op(op, graph, {n: inputs[n] for n in call.inputs})
    return KernelCase(name, call, {n: inputs[n] for n in call.inputs}, {n: values[n] for n in call.outputs})


def run_on_host(
    cases: Sequence[KernelCase], folder: Path, sanitize: bool = False, compiler: str = "gcc", level: Level = BALANCED
) -> None:
    """Build and run the cases on this machine; an AssertionError names the first case that fails.

    level  by which cases share functions
    """
    program = _write(cases, folder, level)
    defines = [*program.defines, f"-DEXACT_BUFFERS={int(sanitize)}"]
    run_program_on_host(program.source, folder, defines, sanitize, compiler)


def run_on_arm(
    cases: Sequence[KernelCase],
    folder: Path,
    optimise: Sequence[str] = (),
    compiler: str = "gcc",
    level: Level = BALANCED,
    core: Core = Core.CORTEX_M4,
) -> dict[str, Measured]:
    """Build the cases for a core and run them in QEMU; gives each case's cost with its buffers apart."""
    program = _write(cases, folder, level)
    text = run_program_on_arm(program.source, folder, [*program.defines, "-DEXACT_BUFFERS=0", *optimise], compiler, core)
    sizes = _function_sizes(folder / ELF)
    counts = {int(i): int(ticks) for i, ticks in re.findall(r"^case (\d+) ticks (\d+)$", text, re.MULTILINE)}
    measured = {}
    for index, case in enumerate(cases):
        instructions = round(counts[index] * NANOSECONDS_PER_TICK / NANOSECONDS_PER_INSTRUCTION)
        measured[case.name] = Measured(instructions, sizes.get(program.functions[index], 0))
    return measured


def run_program_on_host(
    source: Path, folder: Path, flags: Sequence[str] = (), sanitize: bool = False, compiler: str = "gcc"
) -> str:
    """What a C program that includes board.h prints on this machine."""
    checks = ["-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if sanitize else ["-O2"]
    program = folder / "cases"
    _call([compiler, *WARNINGS, *checks, f"-I{HERE}", *flags, str(source), "-o", str(program)])
    return _run([str(program)])


def run_program_on_arm(
    source: Path, folder: Path, flags: Sequence[str] = (), compiler: str = "gcc", core: Core = Core.CORTEX_M4
) -> str:
    """What a C program that includes board.h prints on an emulated core. GNU's linker and C library serve clang (an M4) too."""
    script = folder / "board.ld"
    script.write_text(_LINKER_SCRIPT)
    program = folder / "cases.o"
    compile_flags = [*WARNINGS, "-DON_ARM=1", f"-I{HERE}", *flags, "-c", str(source), "-o", str(program)]
    _call([*(_gcc(core) if compiler == "gcc" else _clang()), *compile_flags])
    link = ["-nostartfiles", "--specs=nosys.specs", "--specs=nano.specs", "-Wl,--gc-sections", f"-T{script}"]
    _call([*_gcc(core), str(program), *link, "-o", str(folder / ELF)])
    # each instruction takes 1024 ns of emulated time, so that the timer's ticks of 40 ns count instructions exactly
    machine = ["-M", core.machine, "-display", "none", "-monitor", "none", "-serial", "none", "-icount", "shift=10"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    return _run(["qemu-system-arm", *machine, *semihosting, "-kernel", str(folder / ELF)])


def _gcc(core: Core) -> list[str]:
    return ["arm-none-eabi-gcc", *COMMON_FLAGS, *CORE_FLAGS[core]]


def _clang() -> list[str]:
    """The clang of the package `ziglang`, with the headers of GNU's C library."""
    searched = _run(["arm-none-eabi-gcc", "-E", "-Wp,-v", "-xc", "/dev/null"])
    folders = [line.strip() for line in searched.splitlines() if line.startswith(" ")]
    headers = next(folder for folder in folders if (Path(folder) / "string.h").exists())
    target = ["-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4", "-isystem", headers]
    # wchar_t and enums as GNU's library has them; no tables for exceptions, which C does not throw
    plain = ["-O3", "-ffunction-sections", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fshort-enums"]
    return [sys.executable, "-m", "ziglang", "cc", *target, *plain]


def disassembly(folder: Path, function: str) -> str:
    """The Arm instructions of one function of the last `run_on_arm` in a folder."""
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", str(folder / ELF)]
    return _call(command)


@dataclass(frozen=True)
class _Program:
    source: Path
    defines: list[str]
    functions: list[str]


def _call(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    text = done.stdout + done.stderr
    assert done.returncode == 0, f"exit {done.returncode}: {text}"
    return text


def _function_sizes(elf: Path) -> dict[str, int]:
    sizes = {}
    for line in _call(["arm-none-eabi-nm", "-S", str(elf)]).splitlines():
        parts = line.split()
        if len(parts) == 4:
            sizes[parts[3]] = int(parts[1], 16)
    return sizes


def _write(cases: Sequence[KernelCase], folder: Path, level: Level) -> _Program:
    folder.mkdir(parents=True, exist_ok=True)
    blob = bytearray()
    types = [_operand_types(case) for case in cases]
    calls = with_own_functions([case.call for case in cases], level, INSTRUCTIONS_PER_BYTE)
    layers = layer_calls(calls, types, level, "", template_environment())
    texts = [_function_text(function) for function in with_helpers(layers)]
    texts += [_layer_text(index, case, layer) for index, (case, layer) in enumerate(zip(cases, layers, strict=True))]
    tables = [_case_text(index, case, blob) for index, case in enumerate(cases)]
    (folder / "cases.bin").write_bytes(bytes(blob))
    source = folder / "cases.c"
    rows = ",\n".join(tables)
    source.write_text(
        f"{_PRELUDE.replace('@BLOB@', str(folder / 'cases.bin'))}\n{intrinsics()}\n"
        + "\n".join(texts)
        + f"\nstatic const test_case cases[] = {{\n{rows}\n}};\nSTART(run_all(cases, sizeof cases / sizeof cases[0]))\n"
    )
    arena = max(_arena_bytes(case) for case in cases)
    return _Program(source, [f"-DARENA_BYTES={arena}"], [layer.function.name for layer in layers])


def intrinsics() -> str:
    """The C of the arithmetic that kernels share."""
    return shared_c(template_environment())


def _operand_types(case: KernelCase) -> OperandTypes:
    def names(values: Mapping[str, Stored], of: Sequence[str]) -> tuple[str, ...]:
        return tuple("int8" if case.call.moves_bytes else values[n].dtype.name for n in of)

    return OperandTypes(names(case.inputs, case.call.inputs), names(case.outputs, case.call.outputs))


def _function_text(function: Function) -> str:
    """The layer struct and the kernel, with a symbol of its own."""
    fields = "".join(f"{declaration}; " for declaration in function.struct.fields) if function.struct else ""
    struct = f"typedef struct {{ {fields}}} {function.struct.name};\n" if function.struct else ""
    return f"{struct}{re.sub('FT_(SHARED_)?KERNEL void', 'KERNEL_FUNCTION static void', function.text)}\n"


def _layer_text(index: int, case: KernelCase, layer: LayerCall) -> str:
    """The layer's data, and a wrapper of uniform type."""
    function, lines = layer.function, []
    for name, values in layer.arrays.items():
        text = c_format.c_array(values)
        lines.append(f"static const {c_format.c_type(values)} case_{index}_{name}[{values.size}] = {{\n{text}\n}};")
    if function.struct:
        values = [f"case_{index}_{name}" for name in layer.arrays] + [c_format.c_integer(v) for v in layer.numbers.values()]
        lines.append(f"static const {function.struct.name} case_{index}_layer = {{ {', '.join(values)} }};")
    arguments = [f"&case_{index}_layer"] if function.struct else []
    types = _operand_types(case)
    arguments += [f"{'(const void *)' * (name != 'int8')}in[{i}]" for i, name in enumerate(types.inputs)]
    arguments += [f"{'(void *)' * (name != 'int8')}out[{i}]" for i, name in enumerate(types.outputs)]
    arguments += ["scratch"] if case.call.scratch_bytes else []
    unused = "" if case.call.scratch_bytes else "  (void)scratch;\n"
    lines.append(
        f"static void case_{index}(const int8_t *const *in, int8_t *const *out, void *scratch) {{\n"
        f"{unused}  {function.name}({', '.join(arguments)});\n}}\n"
    )
    return "\n".join(lines)


def _case_text(index: int, case: KernelCase, blob: bytearray) -> str:
    def placed(array: Stored) -> tuple[int, int]:
        at = len(blob)
        blob.extend(np.ascontiguousarray(array).tobytes())
        return at, array.nbytes

    inputs = [placed(case.inputs[n]) for n in case.call.inputs]
    outputs = [placed(case.outputs[n]) for n in case.call.outputs]
    shares = []
    for name, sharing in case.call.sharing.items():
        below = 0  # how far the output starts below the input
        if isinstance(sharing, RowSchedule):
            distance = sharing.min_distance_bytes
            if sharing.from_end:
                distance += case.inputs[name].nbytes - case.outputs[case.call.outputs[0]].nbytes
            below = -(-distance // ALIGN_BYTES) * ALIGN_BYTES * (-1 if sharing.from_end else 1)
        shares.append((case.call.inputs.index(name), max(0, below), max(0, -below)))

    def pairs(values: Sequence[tuple[int, ...]]) -> str:
        return "{ " + ", ".join(f"{{ {', '.join(map(str, value))} }}" for value in values or [(0,)]) + " }"

    counts = f"{len(inputs)}, {len(outputs)}, {len(shares)}, {case.call.scratch_bytes}"
    return f'  {{ "{case.name}", case_{index}, {counts}, {pairs(inputs)}, {pairs(outputs)}, {pairs(shares)} }}'


def _arena_bytes(case: KernelCase) -> int:
    sizes = [a.nbytes for a in (*case.inputs.values(), *case.outputs.values())]
    distances = [s.min_distance_bytes for s in case.call.sharing.values() if isinstance(s, RowSchedule)]
    return sum(sizes) + case.call.scratch_bytes + max(distances, default=0) + 128 * (len(sizes) + 3)


_LINKER_SCRIPT = """
MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 4M  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
ENTRY(reset)
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
  .data : { *(.data*) } > RAM AT > FLASH
  .bss (NOLOAD) : { *(.bss*) *(COMMON) } > RAM
  end = .;
  stack_top = ORIGIN(RAM) + LENGTH(RAM);
}
"""

_PRELUDE = """
#include "board.h"
__asm__(".section .rodata\\n.balign 16\\n.global blob\\nblob:\\n.incbin \\"@BLOB@\\"\\n.balign 4\\n.text\\n");
extern const int8_t blob[];
#include "run_cases.h"

#if defined(__clang__)
#define KERNEL_FUNCTION __attribute__((noinline))
#else
#define KERNEL_FUNCTION __attribute__((noipa)) /* a symbol of its own, not specialised for one layer's data */
#endif
"""
