"""What fits no chip is refused before any work on its numbers; what fits some chip never is."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import LEVELS, build_named
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.passes.pipeline import run_passes
from flynet_tiny.codegen.schedule.least_memory import least_memory, require_flash_for_weights, require_host_memory
from flynet_tiny.codegen.schedule.search import schedule
from flynet_tiny.codegen.targets import list_targets
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import OverBudget
from flynet_tiny.learn.classifiers import open_classifier

from ... import one_op_models
from ...large_graphs import KINDS
from ...one_op_models import binary, concatenation, conv_2d, depthwise_conv_2d, pad, pool_2d, reduce, reshape, transpose
from ...small_models import Sketch, attention_block, mdw_max_out

LARGEST = max(region.size_bytes for chip in list_targets() for region in chip.regions)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(one_op_models.CASES)), st.integers(0, 2**32 - 1), st.sampled_from(sorted(LEVELS)))
def test_no_arrangement_of_an_operator_needs_less(opcode: str, seed: int, level: str) -> None:
    require_bound(one_op_models.CASES[opcode](seed), level)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_arrangement_of_a_graph_needs_less(kind: str) -> None:
    require_bound(KINDS[kind](24 if kind != "branches" else 150), "balanced")


@pytest.mark.parametrize("make", [attention_block, mdw_max_out])
@pytest.mark.parametrize("level", sorted(LEVELS))
def test_no_arrangement_of_fused_chains_needs_less(make: Callable[..., bytes], level: str) -> None:
    require_bound(make(24, 20), level)


def require_bound(data: bytes, level: str) -> None:
    graph = run_passes(read_tflite(data))
    arena_bytes = schedule(graph, build_named(level=level)).plan.arena_bytes
    assert 0 < least_memory(graph).size_bytes <= arena_bytes


def chain_of_doubling(steps: int = 18) -> bytes:
    """CONCATENATIONs of a tensor with itself: 2^k times the input."""
    s = Sketch()
    s.act("x0", (1, 1, 1, 512))
    for i in range(steps):
        s.like(f"x{i + 1}", f"x{i}", (1, 1, 1, 1024 << i))
        s.op("CONCATENATION", (f"x{i}", f"x{i}"), f"x{i + 1}", axis=3, fusedActivationFunction="NONE")
    return s.file(("x0",), (f"x{steps}",))


def many_large_inputs() -> bytes:
    """No tensor is too large by itself, all inputs together are."""
    half = LARGEST // 2
    return concatenation(0, ((1, 1, 1, half), (1, 1, 1, half), (1, 1, 1, half)))


def padded_out_of_sight() -> bytes:
    """A map that the C never stores, since a convolution with large strides takes the padding into its window."""
    s = Sketch()
    s.act("x", (1, 1, 1, 1))
    s.like("padded", "x", (1, 8193, 8193, 1))
    s.op("PAD", ("x", s.const("pads", [[0, 0], [4096, 4096], [4096, 4096], [0, 0]])), "padded")
    s.act("y", (1, 3, 3, 1))
    s.conv("padded", "y", 1, 1, "VALID", 4096)
    return s.file(("x",), ("y",))


def far_pool(side: int) -> bytes:
    """A window far larger than its map, which SAME padding makes room for."""
    s = Sketch()
    s.like("y", s.act("x", (1, 4, 4, 2)), (1, 4, 4, 2))
    s.op("AVERAGE_POOL_2D", ("x",), "y", padding="SAME", strideH=1, strideW=1, filterHeight=side, filterWidth=side)
    return s.file(("x",), ("y",))


def many_maps_that_fit() -> bytes:
    """A chain whose every tensor fits a small chip, a thousand times."""
    s = Sketch()
    s.act("t0", (1, 1 << 18))
    for i in range(1000):
        s.op("RELU", (f"t{i}",), s.act(f"t{i + 1}", (1, 1 << 18)))
    return s.file(("t0",), ("t1000",))


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "mean": (lambda: reduce("MEAN", 0, (1, 16384, 16384, 1), (1, 2), True), "op 0 MEAN"),
    "max": (lambda: reduce("REDUCE_MAX", 0, (1, 16384, 16384, 1), (1, 2), True), "op 0 REDUCE_MAX"),
    "pad": (lambda: pad(0, (1, 1, 1, 1), ((0, 0), (8000, 8000), (8000, 8000), (0, 0))), "op 0 PAD"),
    "concatenations": (chain_of_doubling, "op 17 CONCATENATION"),
    "transpose": (lambda: transpose(0, (1, 8192, 8192, 2), (0, 2, 1, 3)), "op 0 TRANSPOSE"),
    "broadcast": (lambda: binary("ADD", 0, (1, 16384, 1, 1), (1, 1, 16384, 1)), "op 0 ADD"),
    "depth multiplier": (lambda: depthwise_conv_2d(0, (512, 512, 1), 512, (1, 1)), "op 0 DEPTHWISE_CONV_2D"),
    "reshape": (lambda: reshape(0, (1, 16384, 16384, 1), (16384, 16384)), "the model's inputs"),
    "inputs": (many_large_inputs, "op 0 CONCATENATION"),
    "many maps that fit": (many_maps_that_fit, "its 1000 operators make 262,406,144 B"),
    "a dilation": (lambda: conv_2d(0, dilation=(2**31 - 1, 2**31 - 1)), "op 0 CONV_2D -> y pads its map to"),
    "a pool's window": (lambda: far_pool(1 << 20), "op 0 AVERAGE_POOL_2D -> y pads its map to"),
    "work of a pool": (lambda: pool_2d("MAX_POOL_2D", 0, (700, 700, 1), (700, 700), padding="SAME"), "op 0 MAX_POOL_2D"),
    "work of a convolution": (lambda: conv_2d(0, (128, 128, 16), 32, (24, 24)), "of them in op 0 CONV_2D"),
    "inside a fused operator": (padded_out_of_sight, "op 0 PAD"),
}


@pytest.mark.parametrize(("bomb", "emit"), [("mean", "plan"), *((bomb, None) for bomb in sorted(BOMBS))])
def test_a_huge_network_costs_nothing(bomb: str, emit: str | None, tmp_path: Path) -> None:
    make, where = BOMBS[bomb]
    model = tmp_path / "net.tflite"
    model.write_bytes(make())
    out = tmp_path / "out"
    ending = ["--out", str(out)] if emit is None else ["--emit", emit]
    command = [sys.executable, "-m", "flynet_tiny.cli", "compile", str(model), "--target", "stm32f412", *ending]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=_limit)
    assert run.returncode == 5, run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert where in run.stderr
    assert not out.exists()


def _limit() -> None:
    """1 GB of data, a generous multiple of two seconds of work."""
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))


@pytest.mark.parametrize("target", ["any", "stm32h7a3"])
def test_the_compiler_itself_is_safe(target: str) -> None:
    with pytest.raises(OverBudget, match=r"needs at least 268,435,456 B of RAM .* op 0 MEAN .* the largest known chip"):
        compile_tflite(BOMBS["mean"][0](), "net", build_named(target))


def test_what_fits_the_largest_chip_exactly_is_not_refused_and_a_byte_more_is() -> None:
    """One input in place, of the size of the largest piece of memory."""
    fits = one_op_models.unary("RELU", 0, (1, LARGEST))
    assert compile_tflite(fits, "net").plan.arena_bytes == LARGEST
    with pytest.raises(OverBudget, match=f"{LARGEST + 1:,} B"):
        compile_tflite(one_op_models.unary("RELU", 0, (1, LARGEST + 1)), "net")


def test_a_map_that_is_never_stored_does_not_count() -> None:
    """The map of the heads is larger than any chip, Max-out's result is not."""
    side = 320
    data = mdw_max_out(side, side, 8, 3)
    graph = read_tflite(data)
    assert max(t.size_bytes for t in graph.activations()) > LARGEST
    assert compile_tflite(data, "net").graph is not None


def test_weights_beyond_every_flash_are_refused_equal_ones_counted_once() -> None:
    def model(different: int) -> bytes:
        s = Sketch()
        s.act("x0", (1, 1, 1, 1024))
        for i in range(3):
            s.act(f"x{i + 1}", (1, 1, 1, 1024))
            s.conv(f"x{i}", f"x{i + 1}", 1024)
            if i >= different:
                s.tensors[f"x{i + 1}_w"] = replace(s.tensors[f"x{i + 1}_w"], data=s.tensors["x1_w"].data)
        return s.file(("x0",), ("x3",))

    require_flash_for_weights(read_tflite(model(1)), "stm32f412")
    with pytest.raises(OverBudget, match=r"3,145,728 B of flash; stm32f412 has 1,048,576 B"):
        require_flash_for_weights(read_tflite(model(3)), "stm32f412")


def test_a_network_that_this_computer_should_not_hold_is_not_evaluated(tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(chain_of_doubling())
    require_host_memory(read_tflite(model.read_bytes()))  # 268 MB
    model.write_bytes(_several(5))
    with pytest.raises(OverBudget, match="are run here"), open_classifier(model, None):
        pass


def _several(count: int) -> bytes:
    s = Sketch()
    s.act("x0", (1, 16384, 16384, 1))
    for i in range(count):
        s.act(f"x{i + 1}", (1, 16384, 16384, 1))
        s.op("HARD_SWISH", (f"x{i}",), f"x{i + 1}")
    return s.file(("x0",), (f"x{count}",))
