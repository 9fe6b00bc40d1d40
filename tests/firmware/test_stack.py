from dataclasses import dataclass
from pathlib import Path

import pytest

from flynet_tiny.firmware.stack import INDIRECT, CallGraph, read_call_graph, stack_bound, stack_bound_bytes
from flynet_tiny.firmware.toolchain import Tool, find_tool, run_tool

SOURCE = """
#include <stdint.h>
#include <string.h>
void use(volatile uint8_t *bytes, uint32_t count);
__attribute__((noinline)) void use(volatile uint8_t *bytes, uint32_t count) { for (; count > 0; --count) bytes[count - 1] = 1; }
__attribute__((noinline)) static void deep(void) { volatile uint8_t bytes[400]; use(bytes, 400); }
__attribute__((noinline)) static void shallow(void) { volatile uint8_t bytes[40]; use(bytes, 40); }
void clear(uint8_t *bytes, uint32_t count);
void clear(uint8_t *bytes, uint32_t count) { memset(bytes, 0, count); }
void fault_report(void);
void fault_report(void) { %(fault)s }
void reset(void);
void reset(void) { volatile uint8_t bytes[8]; use(bytes, 8); shallow(); deep(); %(body)s }
"""


@dataclass(frozen=True)
class Linked:
    elf: Path
    objects: Path


def link(folder: Path, body: str = "", fault: str = "") -> Linked:
    (folder / "code.c").write_text(SOURCE % {"body": body, "fault": fault})
    flags = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-O2", "-fcallgraph-info=su"]
    compiler = find_tool(Tool.CROSS_COMPILER)
    run_tool([compiler, *flags, "-c", "code.c", "-o", "code.o"], folder)
    run_tool([compiler, *flags, "-nostartfiles", "-Wl,-e,reset", "code.o", "-o", "code.elf"], folder)
    return Linked(folder / "code.elf", folder)


def graph_of(folder: Path, body: str = "") -> CallGraph:
    linked = link(folder, body)
    return read_call_graph(linked.elf, linked.objects)


def test_one_function_has_a_bound_of_its_own(tmp_path: Path) -> None:
    whole, shallow = stack_bound_bytes(link(tmp_path), "shallow")
    assert 40 <= shallow < 40 + 64 < whole


def test_the_deepest_chain_counts(tmp_path: Path) -> None:
    bound = stack_bound(graph_of(tmp_path))
    assert bound.path == ("reset", "deep", "use")
    assert bound.bound_bytes is not None
    assert 400 + 8 + 108 <= bound.bound_bytes < 400 + 8 + 108 + 64


def test_the_fault_handler_counts_too(tmp_path: Path) -> None:
    assert stack_bound_bytes(link(tmp_path, fault="volatile uint8_t b[900]; use(b, 900);"), "shallow")[0] > 900


def test_functions_of_the_c_library_are_read_from_the_disassembly(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "static uint8_t b[99]; clear(b, sizeof b);")
    assert "memset" in graph.calls["clear"] | graph.calls["reset"]
    assert graph.frames["memset"] is not None
    assert graph.frames["memset"] > 0, "newlib's memset pushes registers"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "extern void (*volatile pointer)(void); pointer(); } void (*volatile pointer)(void); void nothing(void) {",
            "by pointer",
        ),
        ("volatile uint8_t b[*(volatile uint32_t *)16]; use(b, sizeof b);", "frame of reset is not known"),
        ("reset(); use(bytes, 1);", "recursion: reset -> reset"),
    ],
)
def test_what_has_no_bound_says_why(tmp_path: Path, body: str, problem: str) -> None:
    bound = stack_bound(graph_of(tmp_path, body))
    assert bound.bound_bytes is None
    assert problem in bound.problem


def test_recursion_through_others_is_found() -> None:
    graph = CallGraph({"a": 8, "b": 8, "c": 8}, {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("b")})
    assert graph.bound("a").problem == "recursion: b -> c -> b"


def test_shared_callees_are_not_recursion() -> None:
    graph = CallGraph({"a": 1, "b": 2, "c": 4, "d": 8}, {"a": frozenset("bc"), "b": frozenset("d"), "c": frozenset("d")})
    assert graph.bound("a").bound_bytes == 13
    assert graph.bound("a").path == ("a", "c", "d")


def test_an_unknown_root_and_a_pointer_have_no_bound() -> None:
    graph = CallGraph({"a": 1}, {"a": frozenset({INDIRECT})})
    assert graph.bound("b").bound_bytes is None
    assert graph.bound("a").problem == "a calls by pointer"
