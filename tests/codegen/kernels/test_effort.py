"""What a kernel may spend on speed changes its instructions and its size, never a byte of its output."""

from __future__ import annotations

from pathlib import Path

import pytest

from flynet_tiny.codegen.kernels.effort import BALANCED, SIZE, SPEED, Effort

from .conv_cases import Kind, Layer, listed, square
from .kernel_runner import run_on_arm, run_on_host


@pytest.mark.parametrize("effort", [SPEED, SIZE], ids=["speed", "size"])
def test_every_effort_computes_the_same(tmp_path: Path, effort: Effort) -> None:
    layers = [layer for kind in Kind for layer in listed(kind)[::4]]
    run_on_host([layer.case(effort) for layer in layers], tmp_path)


def test_speed_needs_fewer_instructions_and_size_fewer_bytes(tmp_path: Path) -> None:
    layers = (
        Layer(Kind.CONV_2D, 7, 7, 120, 40),
        Layer(Kind.DEPTHWISE, 7, 7, 60, 1, square(5)),
        Layer(Kind.MDW_MAX, 7, 7, 30, 3, square(5)),
    )
    instructions, flash_bytes = {}, {}
    for name, effort in (("speed", SPEED), ("balanced", BALANCED), ("size", SIZE)):
        cases = [layer.case(effort) for layer in layers]
        measured = run_on_arm(cases, tmp_path / name)
        instructions[name] = sum(m.instructions for m in measured.values())
        weights = sum(array.values.nbytes for case in cases for array in case.call.arrays)
        flash_bytes[name] = weights + sum(m.code_bytes for m in measured.values())
    assert instructions["speed"] < instructions["balanced"] < instructions["size"]
    assert flash_bytes["speed"] > flash_bytes["balanced"] > flash_bytes["size"]
