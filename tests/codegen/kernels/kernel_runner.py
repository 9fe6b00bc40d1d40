"""Run kernels by themselves, many in one program, on the host and on an emulated Cortex-M4, against expected bytes.

A `KernelCase` is one kernel call with its inputs and the outputs that they must give. `run_on_host` and `run_on_arm` build one
program of all cases. Each case runs with its buffers apart, then once for each sharing that its call promises, its output
overlapping that input as closely as the promise allows. The program compares the outputs and finds bytes changed outside of
them, or in an input that is not shared. With the sanitizers, every buffer is an allocation of its own of the exact size.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import numpy.typing as npt

from flynet_tiny.codegen import c_format, reference
from flynet_tiny.codegen.emit import template_environment
from flynet_tiny.codegen.ir import Graph, Op
from flynet_tiny.codegen.kernels.base import KernelCall, RowSchedule

Int8 = npt.NDArray[np.int8]

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
CORTEX_M4 = [
    "-O3",
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfpu=fpv4-sp-d16",
    "-mfloat-abi=hard",
    "-ffunction-sections",
    "-fdata-sections",
]
ALIGN_BYTES = 16


@dataclass(frozen=True, eq=False)
class KernelCase:
    """One call, the bytes of its inputs and those that its outputs must have, by tensor name."""

    name: str
    call: KernelCall
    inputs: Mapping[str, Int8]
    outputs: Mapping[str, Int8]


@dataclass(frozen=True)
class Measured:
    """What a case cost on the emulated Cortex-M4: exact instructions, and the bytes of its function's code."""

    instructions: int
    code_bytes: int


def case_of(name: str, op: Op, graph: Graph, call: KernelCall, inputs: Mapping[str, Int8]) -> KernelCase:
    """A case whose expected outputs are the reference interpreter's."""
    values = reference.run_op(op, graph, {n: inputs[n] for n in call.inputs})
    return KernelCase(name, call, {n: inputs[n] for n in call.inputs}, {n: values[n] for n in call.outputs})


def run_on_host(cases: Sequence[KernelCase], folder: Path, sanitize: bool = False, compiler: str = "gcc") -> None:
    """Build and run the cases on this machine; an AssertionError names the first case that fails."""
    flags = ["-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if sanitize else ["-O2"]
    program = _write(cases, folder, [f"-DEXACT_BUFFERS={int(sanitize)}"])
    command = [compiler, *WARNINGS, *flags, *program.defines, str(program.source), "-o", str(folder / "cases")]
    _call(command)
    done = subprocess.run([str(folder / "cases")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def run_on_arm(cases: Sequence[KernelCase], folder: Path, optimise: Sequence[str] = ()) -> dict[str, Measured]:
    """Build the cases for a Cortex-M4 and run them in QEMU; gives each case's cost with its buffers apart."""
    program = _write(cases, folder, ["-DON_ARM=1", "-DEXACT_BUFFERS=0"])
    (folder / "board.ld").write_text(_LINKER_SCRIPT)
    elf = folder / "cases.elf"
    arm = [*CORTEX_M4, *optimise, *WARNINGS, *program.defines]
    link = ["-nostartfiles", "--specs=nosys.specs", "--specs=nano.specs", "-Wl,--gc-sections", f"-T{folder / 'board.ld'}"]
    _call(["arm-none-eabi-gcc", *arm, str(program.source), *link, "-o", str(elf)])
    machine = ["-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none", "-icount", "shift=10"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    command = ["qemu-system-arm", *machine, *semihosting, "-kernel", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    text = done.stdout + done.stderr
    assert done.returncode == 0, f"exit {done.returncode}: {text}"
    sizes = _function_sizes(elf)
    counts = {int(i): int(ticks) for i, ticks in re.findall(r"^case (\d+) ticks (\d+)$", text, re.MULTILINE)}
    measured = {}
    for index, case in enumerate(cases):
        instructions = round(counts[index] * 40 / 1024)
        measured[case.name] = Measured(instructions, sizes.get(program.functions[index], 0))
    return measured


def has_arm_tools() -> bool:
    """Whether the cross compiler and the emulator are installed."""
    return all(shutil.which(tool) for tool in ("arm-none-eabi-gcc", "qemu-system-arm"))


def disassembly(folder: Path, function: str) -> str:
    """The Arm instructions of one function of the last `run_on_arm` in a folder."""
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", str(folder / "cases.elf")]
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


def _function_sizes(elf: Path) -> dict[str, int]:
    sizes = {}
    for line in _call(["arm-none-eabi-nm", "-S", str(elf)]).splitlines():
        parts = line.split()
        if len(parts) == 4:
            sizes[parts[3]] = int(parts[1], 16)
    return sizes


def _write(cases: Sequence[KernelCase], folder: Path, defines: list[str]) -> _Program:
    folder.mkdir(parents=True, exist_ok=True)
    environment = template_environment()
    blob = bytearray()
    functions: dict[object, str] = {}
    texts, tables, names = [], [], []
    for index, case in enumerate(cases):
        text, function = _kernel_text(index, case.call, environment, functions)
        texts.append(text)
        names.append(function)
        tables.append(_case_text(index, case, blob))
    (folder / "cases.bin").write_bytes(bytes(blob))
    source = folder / "cases.c"
    intrinsics = environment.get_template("kernels/intrinsics.h.j2").render()
    rows = ",\n".join(tables)
    source.write_text(
        _PRELUDE.replace("@BLOB@", str(folder / "cases.bin")).replace("@INTRINSICS@", intrinsics)
        + "\n".join(texts)
        + f"\nstatic const test_case cases[] = {{\n{rows}\n}};\n"
        + _MAIN
    )
    arena = max(_arena_bytes(case) for case in cases)
    return _Program(source, [*defines, f"-DARENA_BYTES={arena}"], names)


def _kernel_text(index: int, call: KernelCall, environment: jinja2.Environment, functions: dict[object, str]) -> tuple[str, str]:
    """The layer struct and data, the kernel unless an earlier case has it, and a wrapper of uniform type."""
    fields = [f"const {a.c_type} *{a.field};" for a in call.arrays] + [f"int32_t {name};" for name in call.scalars]
    key = (call.template, tuple(fields), tuple(sorted(call.shape.items())))
    lines = []
    if key not in functions:
        functions[key] = f"kernel_{index}"
        layer_t = f"layer_{index}_t" if fields else ""
        if fields:
            lines.append(f"typedef struct {{ {' '.join(fields)} }} {layer_t};")
        shape = type("Shape", (), dict(call.shape))()
        template = environment.get_template(f"kernels/{call.template}.c.j2")
        parameters = [f"const {layer_t} *layer"] if fields else []
        parameters += [f"const int8_t *input{i}" for i in range(len(call.inputs))]
        parameters += [f"int8_t *output{i}" for i in range(len(call.outputs))]
        parameters += ["void *scratch"] if call.scratch_bytes else []
        lines.append(f"static void {functions[key]}({', '.join(parameters)}) KERNEL_FUNCTION;")
        lines.append(template.render(fn=functions[key], layer_t=layer_t, prefix="test_", s=shape))
    function = functions[key]
    if fields:
        for a in call.arrays:
            values = c_format.c_array(a.values)
            lines.append(f"static const {a.c_type} case_{index}_{a.field}[{a.values.size}] = {{\n{values}\n}};")
        values = [f"case_{index}_{a.field}" for a in call.arrays] + [c_format.c_integer(v) for v in call.scalars.values()]
        lines.append(f"static const {function.replace('kernel', 'layer')}_t case_{index}_layer = {{ {', '.join(values)} }};")
    arguments = [f"&case_{index}_layer"] if fields else []
    arguments += [f"in[{i}]" for i in range(len(call.inputs))]
    arguments += [f"out[{i}]" for i in range(len(call.outputs))]
    arguments += ["scratch"] if call.scratch_bytes else []
    unused = "" if call.scratch_bytes else "  (void)scratch;\n"
    lines.append(
        f"static void case_{index}(const int8_t *const *in, int8_t *const *out, void *scratch) {{\n"
        f"{unused}  {function}({', '.join(arguments)});\n}}\n"
    )
    return "\n".join(lines), function


def _case_text(index: int, case: KernelCase, blob: bytearray) -> str:
    def placed(array: Int8) -> tuple[int, int]:
        at = len(blob)
        blob.extend(np.ascontiguousarray(array, np.int8).tobytes())
        return at, array.size

    inputs = [placed(case.inputs[n]) for n in case.call.inputs]
    outputs = [placed(case.outputs[n]) for n in case.call.outputs]
    shares = []
    for name, sharing in case.call.sharing.items():
        distance = 0
        if isinstance(sharing, RowSchedule):
            distance = -(-sharing.min_distance_bytes // ALIGN_BYTES) * ALIGN_BYTES
        shares.append((case.call.inputs.index(name), distance))

    def pairs(values: Sequence[tuple[int, int]]) -> str:
        return "{ " + ", ".join(f"{{ {a}, {b} }}" for a, b in values or [(0, 0)]) + " }"

    counts = f"{len(inputs)}, {len(outputs)}, {len(shares)}, {case.call.scratch_bytes}"
    return f'  {{ "{case.name}", case_{index}, {counts}, {pairs(inputs)}, {pairs(outputs)}, {pairs(shares)} }}'


def _arena_bytes(case: KernelCase) -> int:
    sizes = [a.size for a in (*case.inputs.values(), *case.outputs.values())]
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
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if !defined(ON_ARM)
#include <stdio.h>
#include <stdlib.h>
#endif

@INTRINSICS@

__asm__(".section .rodata\\n.balign 16\\n.global blob\\nblob:\\n.incbin \\"@BLOB@\\"\\n.balign 4\\n.text\\n");
extern const int8_t blob[];

#if defined(__clang__)
#define KERNEL_FUNCTION __attribute__((noinline))
#else
#define KERNEL_FUNCTION __attribute__((noipa)) /* a symbol of its own, not specialised for one layer's data */
#endif

typedef struct { uint32_t first, second; } pair;
typedef struct {
  const char *name;
  void (*run)(const int8_t *const *in, int8_t *const *out, void *scratch);
  uint32_t num_inputs, num_outputs, num_shares, scratch_bytes;
  pair inputs[8], outputs[4]; /* offset in the blob, size */
  pair shares[8];             /* input, distance */
} test_case;

"""

_MAIN = r"""
#if defined(ON_ARM)
#define TIMER ((volatile uint32_t *)0x40000000u)
static void semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
static void say(const char *text) { semihost(4, text); }
static void leave(uint32_t code) {
  const uint32_t block[2] = { 0x20026u, code };
  semihost(0x20, block);
  for (;;) {
  }
}
static void fault(void) {
  say("fault\n");
  leave(9);
}
void reset(void);
extern char stack_top;
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
  &stack_top, (const void *)reset, (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault
};
#else
static void say(const char *text) { fputs(text, stdout); }
static void leave(uint32_t code) { exit((int)code); }
#endif

static void say_number(int32_t value) {
  char text[12];
  char *p = text + 11;
  uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
  *p = 0;
  do {
    *--p = (char)('0' + rest % 10u);
    rest /= 10u;
  } while (rest != 0u);
  if (value < 0) {
    *--p = '-';
  }
  say(p);
}

static void fail(const test_case *c, const char *mode, const char *what, uint32_t at, int32_t found, int32_t expected) {
  say(c->name);
  say(mode);
  say(what);
  say(" at ");
  say_number((int32_t)at);
  say(": found ");
  say_number(found);
  say(", expected ");
  say_number(expected);
  say("\n");
  leave(1);
}

static void compare(const test_case *c, const char *mode, const char *what, const int8_t *found, const int8_t *expected, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) {
    if (found[i] != expected[i]) {
      fail(c, mode, what, i, found[i], expected[i]);
    }
  }
}

#if defined(ON_ARM)
static uint32_t ticks;
#endif

static void timed(const test_case *c, const int8_t *const *in, int8_t *const *out, void *scratch) {
#if defined(ON_ARM)
  TIMER[0] = 0;
  TIMER[2] = 0xffffffffu;
  TIMER[1] = 0xffffffffu;
  TIMER[0] = 1;
  const uint32_t start = TIMER[1];
  c->run(in, out, scratch);
  ticks = start - TIMER[1];
#else
  c->run(in, out, scratch);
#endif
}

#if EXACT_BUFFERS
/* every buffer its own allocation of the exact size: the sanitizer sees each access outside of one */
static void run_apart(const test_case *c) {
  int8_t *in[8];
  int8_t *out[4];
  const int8_t *const_in[8];
  for (uint32_t i = 0; i < c->num_inputs; ++i) {
    in[i] = malloc(c->inputs[i].second);
    memcpy(in[i], blob + c->inputs[i].first, c->inputs[i].second);
    const_in[i] = in[i];
  }
  for (uint32_t i = 0; i < c->num_outputs; ++i) {
    out[i] = malloc(c->outputs[i].second);
    memset(out[i], 0x5a, c->outputs[i].second);
  }
  void *scratch = malloc(c->scratch_bytes + 1u);
  memset(scratch, 0x7f, c->scratch_bytes + 1u);
  timed(c, const_in, out, scratch);
  for (uint32_t i = 0; i < c->num_outputs; ++i) {
    compare(c, " (apart)", " output", out[i], blob + c->outputs[i].first, c->outputs[i].second);
    free(out[i]);
  }
  for (uint32_t i = 0; i < c->num_inputs; ++i) {
    compare(c, " (apart)", " input changed", in[i], blob + c->inputs[i].first, c->inputs[i].second);
    free(in[i]);
  }
  free(scratch);
}
#endif

/* share < 0: all buffers apart; otherwise output 0 overlaps an input as that share allows. Buffers start at multiples of 4
 * (not of 16), between canaries; the order in memory is scratch, inputs, outputs. */
static int8_t arena[ARENA_BYTES] __attribute__((aligned(16)));
static uint8_t owner[ARENA_BYTES]; /* 0 canary, 1 input that must not change, 2 may change */

static uint32_t claim(uint32_t at, uint32_t size, uint8_t kind) {
  memset(owner + at, kind, size);
  return ((at + size + 15u) & ~15u) + 36u;
}

static void run_in_arena(const test_case *c, int32_t share) {
  static const char *const modes[2] = { " (canaries)", " (overlapping)" };
  const char *const mode = modes[share >= 0];
  int8_t *out[4];
  const int8_t *in[8];
  uint32_t next = 20u;
  for (uint32_t i = 0; i < ARENA_BYTES; ++i) {
    arena[i] = (int8_t)(uint8_t)(i * 37u + 11u);
  }
  memset(owner, 0, sizeof owner);
  void *scratch = arena + ((next + 15u) & ~15u);
  next = claim((next + 15u) & ~15u, c->scratch_bytes, 2);
  for (uint32_t i = 0; i < c->num_inputs; ++i) {
    const uint32_t size = c->inputs[i].second;
    uint32_t at = next;
    if (share >= 0 && c->shares[share].first == i) {
      at = next + c->shares[share].second;
      out[0] = arena + next;
      const uint32_t a = claim(at, size, 2);
      const uint32_t b = claim(next, c->outputs[0].second, 2);
      next = a > b ? a : b;
    } else {
      next = claim(at, size, 1);
    }
    memcpy(arena + at, blob + c->inputs[i].first, size);
    in[i] = arena + at;
  }
  for (uint32_t i = share >= 0 ? 1u : 0u; i < c->num_outputs; ++i) {
    out[i] = arena + next;
    next = claim(next, c->outputs[i].second, 2);
  }
  timed(c, in, out, scratch);
  for (uint32_t i = 0; i < c->num_outputs; ++i) {
    compare(c, mode, " output", out[i], blob + c->outputs[i].first, c->outputs[i].second);
  }
  for (uint32_t i = 0; i < c->num_inputs; ++i) {
    if (share < 0 || c->shares[share].first != i) {
      compare(c, mode, " input changed", in[i], blob + c->inputs[i].first, c->inputs[i].second);
    }
  }
  for (uint32_t i = 0; i < ARENA_BYTES; ++i) {
    const int8_t canary = (int8_t)(uint8_t)(i * 37u + 11u);
    if (owner[i] == 0 && arena[i] != canary) {
      fail(c, mode, " canary", i, arena[i], canary);
    }
  }
}

static int run_all(void) {
  for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    const test_case *c = &cases[i];
#if EXACT_BUFFERS
    run_apart(c);
#endif
    run_in_arena(c, -1);
#if defined(ON_ARM)
    say("case ");
    say_number((int32_t)i);
    say(" ticks ");
    say_number((int32_t)ticks);
    say("\n");
#endif
    for (uint32_t share = 0; share < c->num_shares; ++share) {
      run_in_arena(c, (int32_t)share);
    }
  }
  return 0;
}

#if defined(ON_ARM)
void reset(void) {
  *(volatile uint32_t *)0xe000ed88u |= 0xf00000u; /* floating point on */
  run_all();
  leave(0);
}
#else
int main(void) { return run_all(); }
#endif
"""
