"""The emitted C: equal to its golden file for each operator, deterministic, clean under the compilers' warnings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flynet_tiny.codegen.compiler import Compiled, compile_tflite

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
    return compile_tflite(data, "net", "stm32f412")


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
    for name in ("x", "a", "y"):
        s.act(name, (1, 8), 0.1, 0)
    s.op("RELU", ("x",), "a")
    s.op("RELU", ("a",), "y")
    files = compiled(s.file(("x",), ("y",))).library.files
    assert files["net_weights.h"].count("extern") == 1
    assert files["net.c"].count("= net_op0_") == 2


@pytest.mark.parametrize("defines", [(), ("-DNET_TRACE",)])
@pytest.mark.parametrize(
    "compiler",
    [
        ("cc", "-O2"),
        ("arm-none-eabi-gcc", "-O3", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        ("arm-none-eabi-gcc", "-Os", "-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
    ],
)
def test_emitted_c_compiles_without_a_warning(tmp_path: Path, compiler: tuple[str, ...], defines: tuple[str, ...]) -> None:
    for name, text in compiled(attention_block(seed=5)).library.files.items():
        (tmp_path / name).write_text(text)
    flags = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror", *defines, "-c")
    subprocess.run([*compiler, *flags, "net.c", "net_weights.c"], cwd=tmp_path, check=True, timeout=120)


@pytest.mark.parametrize("defines", [(), ("-DNET_TRACE",)])
def test_a_network_without_a_kernel_compiles_without_a_warning(tmp_path: Path, defines: tuple[str, ...]) -> None:
    for name, text in compiled(ops.reshape()).library.files.items():
        (tmp_path / name).write_text(text)
    flags = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror", *defines, "-c")
    subprocess.run(["cc", *flags, "net.c", "net_weights.c"], cwd=tmp_path, check=True, timeout=60)


def test_header_serves_c_plus_plus(tmp_path: Path) -> None:
    for name, text in compiled(mdw_max_out()).library.files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "user.cc").write_text('#include "net.h"\nint run(net_context *c) { return net_invoke(c); }\n')
    subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", "-c", "user.cc"], cwd=tmp_path, check=True, timeout=60)


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
  assert(net_invoke(NULL) == NET_ERROR_NULL);
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
