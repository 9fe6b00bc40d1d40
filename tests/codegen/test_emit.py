"""The emitted C: equal to its golden file for each operator, deterministic, clean under the compilers' warnings."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.build import LEVELS, build_named
from flynet_tiny.codegen.compiler import Compiled, compile_tflite
from flynet_tiny.codegen.emit import version_number
from flynet_tiny.codegen.reference import run
from flynet_tiny.codegen.stack_bytes import with_stack_bytes, without_stack_bytes
from flynet_tiny.deploy.library_name import NAME_CHARACTERS

from .. import converter_models, stateful_models
from .. import one_op_models as ops
from ..small_models import Sketch, attention_block, mdw_max_out

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
WRITE = bool(os.environ.get("FLYNET_TINY_WRITE_GOLDEN"))

SMALL: dict[str, Callable[[], bytes]] = {
    "conv_2d": lambda: ops.conv_2d(1, (4, 4, 3), 2),
    "depthwise_conv_2d": lambda: ops.depthwise_conv_2d(1, (4, 4, 2)),
    "mdw_max": lambda: mdw_max_out(3, 3, 2, 3),
    **{
        name.lower(): (lambda name=name: ops.CASES[name](2))  # type: ignore[misc]
        for name in sorted(ops.CASES)
        if name not in ("CONV_2D", "DEPTHWISE_CONV_2D")
    },
}


def compiled(data: bytes) -> Compiled:
    return compile_tflite(data, "net", build_named("stm32f412"))


def kernels_and_inference(code: str) -> str:
    """What differs from model to model: layer data, kernels and the invocation, without the shared intrinsics."""
    return (
        "/* ---- layer data ---- */"
        + code.split("/* ---- layer data ---- */")[1].split("int net_init(")[0]
        + code.split("#endif\n\nint net_invoke")[1]
    )


@pytest.mark.parametrize("name", sorted(SMALL))
def test_emitted_c_equals_its_golden(name: str) -> None:
    text = kernels_and_inference(compiled(SMALL[name]()).library.files["net.c"])
    path = GOLDEN / f"{name}.c"
    if WRITE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        pytest.fail(f"wrote {path.name}; a golden that was just written proves nothing")
    assert text == path.read_text(), f"emitted C of {name} changed; read the diff, then run `make golden`"


ONE_TURN = re.compile(r"for \(int32_t (\w+) = 0; \1 < 1;|for \(int32_t (\w+) = [01]; \2 > 0;")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("target", ["any", "stm32f412", "stm32f103", "rp2040"])
def test_no_line_is_above_120_characters_and_no_loop_has_one_turn(target: str, level: str) -> None:
    for name, model in SMALL.items():
        for file, text in compile_tflite(model(), "net", build_named(target, level)).library.files.items():
            assert [line for line in text.splitlines() if len(line) > 120] == [], (name, file)
            assert ONE_TURN.search(text) is None, (name, file, ONE_TURN.search(text))


def test_no_line_is_above_120_characters_where_the_name_is_as_long_as_it_may_be() -> None:
    name = "n" * NAME_CHARACTERS
    for model in (attention_block, stateful_models.rings, converter_models.float_ends_many):
        for file, text in compile_tflite(model(seed=1), name, build_named("stm32f412", "balanced")).library.files.items():
            assert [line for line in text.splitlines() if len(line) > 120] == [], file


def test_no_golden_file_is_orphaned() -> None:
    assert {p.stem for p in GOLDEN.glob("*.c")} == set(SMALL)


def test_the_same_model_gives_the_same_bytes() -> None:
    assert compiled(attention_block()).library.files == compiled(attention_block()).library.files


def test_nothing_of_this_machine_is_in_the_text() -> None:
    for text in compiled(attention_block()).library.files.values():
        assert str(Path.home()) not in text
        assert os.getcwd() not in text
        assert "malloc" not in text
        assert "stdio" not in text


def test_layers_of_one_shape_share_a_function() -> None:
    library = compiled(attention_block(channels=8, heads=1)).library
    functions = [op.function for op in library.ops if op.kind == "CONV_2D"]
    assert len(functions) == 4
    assert len(set(functions)) < len(functions)


def test_equal_constants_are_one_array() -> None:
    s = Sketch()
    for name in ("x1", "x2", "y1", "y2"):
        s.act(name, (1, 8), 0.1, 0)
    s.op("RELU", ("x1",), "y1")
    s.op("RELU", ("x2",), "y2")
    files = compiled(s.file(("x1", "x2"), ("y1", "y2"))).library.files
    assert files["net_weights.h"].count("extern") == 1
    assert files["net.c"].count(" */ net_op0_") == 2


C11 = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror", "-c")
CPP17 = ("-xc++", "-std=c++17", *C11[1:])
CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")


def write(data: bytes, folder: Path) -> None:
    for name, text in compiled(data).library.files.items():
        (folder / name).write_text(text)


def build(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, timeout=120)


@pytest.mark.parametrize("defines", [(), ("-DNET_TRACE",)], ids=["plain", "traced"])
@pytest.mark.parametrize(
    "compiler",
    [
        ("cc", "-O2", *C11),
        ("cc", "-O0", "-funsigned-char", "-fshort-enums", "-fno-builtin", *C11),
        ("g++", "-O1", *CPP17),
        ("arm-none-eabi-gcc", "-O3", *CORTEX_M4, *C11),
        ("arm-none-eabi-gcc", "-O0", *CORTEX_M4, *C11),
        ("arm-none-eabi-gcc", "-Os", "-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard", *C11),
        ("arm-none-eabi-gcc", "-O2", "-mcpu=cortex-m0", "-mthumb", *C11),
        ("arm-none-eabi-g++", "-O2", *CORTEX_M4, *CPP17),
    ],
    ids=" ".join,
)
def test_emitted_c_compiles_without_a_warning(tmp_path: Path, compiler: tuple[str, ...], defines: tuple[str, ...]) -> None:
    write(attention_block(seed=5), tmp_path)
    build(tmp_path, *compiler, *defines, "net.c", "net_weights.c")


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_kernel_is_c_plus_plus_too(tmp_path: Path, name: str) -> None:
    write(SMALL[name](), tmp_path)
    build(tmp_path, "arm-none-eabi-g++", *CORTEX_M4, *CPP17, "-fsyntax-only", "net.c", "net_weights.c")


def test_a_core_that_traps_unaligned_access_gets_plain_c(tmp_path: Path) -> None:
    write(attention_block(seed=5), tmp_path)
    assembly = {}
    for flag in ("-munaligned-access", "-mno-unaligned-access"):
        build(tmp_path, "arm-none-eabi-gcc", "-O2", *CORTEX_M4, flag, *C11[:-1], "-S", "net.c")
        assembly[flag] = (tmp_path / "net.s").read_text()
    assert "smlad" in assembly["-munaligned-access"]
    assert "smlad" not in assembly["-mno-unaligned-access"]


def test_the_library_refuses_a_big_endian_core(tmp_path: Path) -> None:
    write(mdw_max_out(), tmp_path)
    command = ["arm-none-eabi-gcc", "-mbig-endian", *CORTEX_M4, *C11, "net.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "little-endian" in done.stderr


@pytest.mark.parametrize("defines", [(), ("-DNET_TRACE",)])
def test_a_network_without_a_kernel_compiles_without_a_warning(tmp_path: Path, defines: tuple[str, ...]) -> None:
    write(ops.reshape(), tmp_path)
    build(tmp_path, "cc", *C11, *defines, "net.c", "net_weights.c")


USER = """
#include "net.h"
static uint8_t arena[NET_ARENA_BYTES] NET_ARENA_ATTRIBUTE;
static_assert(NET_VERSION_NUMBER >= 100 && sizeof NET_VERSION > 5, "a version");
int main() {
  net_context net;
  if (net_init(&net, arena, sizeof arena) != NET_OK) return 1;
  for (unsigned i = 0; i < NET_INPUT0_BYTES; ++i) net_input(&net, 0)[i] = static_cast<int8_t>(i * 37 % 256 - 128);
  if (net_invoke(&net) != NET_OK) return 2;
  unsigned hash = 1;
  for (unsigned i = 0; i < NET_OUTPUT0_BYTES; ++i) hash = hash * 31 + static_cast<uint8_t>(net_output(&net, 0)[i]);
  return static_cast<int>(hash % 251) == EXPECTED ? 0 : 3;
}
"""


@pytest.mark.parametrize("library", ["c", "c++"])
def test_a_program_of_c_plus_plus_runs_it(tmp_path: Path, library: str) -> None:
    data = mdw_max_out()
    made = compiled(data)
    write(data, tmp_path)
    (tmp_path / "user.cc").write_text(USER)
    graph = made.source_graph
    (source,), (result,) = graph.inputs, graph.outputs
    shape = graph.tensor(source).shape
    values = (np.arange(graph.tensor(source).size_bytes) * 37 % 256 - 128).astype(np.int8).reshape(shape)
    expected = 1
    for value in run(graph, {source: values})[result].reshape(-1):
        expected = (expected * 31 + (int(value) & 255)) % 2**32
    compiler = ("cc", *C11) if library == "c" else ("g++", *CPP17)
    build(tmp_path, *compiler, "net.c", "net_weights.c")
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-DEXPECTED={expected % 251}")
    build(tmp_path, "g++", *flags, "user.cc", "net.o", "net_weights.o", "-o", "user")
    build(tmp_path, "./user")


def test_the_stack_bound_completes_the_header_and_nothing_else() -> None:
    library = compiled(mdw_max_out()).library
    first = with_stack_bytes(library, 240, f"arm-none-eabi-gcc 12 {'-mflag ' * 14}-O2")
    assert max(map(len, first.files["net.h"].splitlines())) <= 120
    again = with_stack_bytes(first, 248, "arm-none-eabi-gcc 13 -Os */")
    assert "#define NET_STACK_BYTES 240u\n" in first.files["net.h"]
    assert "240u" not in again.files["net.h"]
    assert again.files["net.h"].count("NET_STACK_BYTES") == 1
    assert without_stack_bytes(again.files["net.h"]) == without_stack_bytes(library.files["net.h"]) == library.files["net.h"]
    assert {name for name in library.files if library.files[name] != first.files[name]} == {"net.h"}


@pytest.mark.parametrize(("version", "number"), [("0.1.0", 100), ("1.2.3", 10_203), ("2.10.4.dev1", 21_004)])
def test_the_version_is_a_number_too(version: str, number: int) -> None:
    assert version_number(version) == number


MISUSE = """
#include <assert.h>
#include <string.h>
#include "net.h"
_Alignas(16) static uint8_t arena[2][NET_ARENA_BYTES + 16];
int main(void) {
  net_context a, b;
  assert(net_init(NULL, arena[0], sizeof arena[0]) == NET_ERROR_NULL);
  assert(net_init(&a, NULL, sizeof arena[0]) == NET_ERROR_NULL);
  assert(net_init(&a, arena[0] + 1, sizeof arena[0] - 1) == NET_ERROR_ALIGNMENT);
  assert(net_init(&a, arena[0], NET_ARENA_BYTES - 1) == NET_ERROR_ARENA_TOO_SMALL);
  assert(net_init(&a, arena[0], NET_ARENA_BYTES) == NET_OK);
  assert(net_init(&b, arena[1], NET_ARENA_BYTES) == NET_OK);
  assert(net_input(&a, 1) == NULL && net_input(&a, -1) == NULL && net_output(&a, 1) == NULL);
  assert(net_invoke(NULL) == NET_ERROR_NULL && net_input(NULL, 0) == NULL && net_output(NULL, 0) == NULL);
  memset(&b, 0, sizeof b);
  assert(net_invoke(&b) == NET_ERROR_NULL && net_input(&b, 0) == NULL && net_output(&b, 0) == NULL);
  assert(net_init(&b, arena[1], NET_ARENA_BYTES) == NET_OK);
  memset(net_input(&a, 0), 5, NET_INPUT0_BYTES);
  memset(net_input(&b, 0), 5, NET_INPUT0_BYTES);
  assert(net_invoke(&a) == NET_OK && net_invoke(&b) == NET_OK);
  assert(memcmp(net_output(&a, 0), net_output(&b, 0), NET_OUTPUT0_BYTES) == 0);
  return 0;
}
"""


def test_the_interface_refuses_misuse_and_serves_two_instances(tmp_path: Path) -> None:
    for name, text in compiled(mdw_max_out()).library.files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.c").write_text(MISUSE)
    flags = ("-std=c11", "-Wall", "-Wextra", "-fsanitize=address,undefined", "-g")
    subprocess.run(["cc", *flags, "main.c", "net.c", "net_weights.c", "-o", "main"], cwd=tmp_path, check=True, timeout=60)
    subprocess.run(["./main"], cwd=tmp_path, check=True, timeout=60)
