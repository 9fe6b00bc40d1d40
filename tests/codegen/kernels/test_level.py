"""What a kernel may spend on speed changes its instructions and its size, never a byte of its output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flynet_tiny.codegen.build import DEFAULT_BUILD, LEVELS, SIZE, SPEED, Level, RowBands, build_for
from flynet_tiny.codegen.kernels.base import RowSchedule
from flynet_tiny.codegen.kernels.parameters import arrays_of

from .conv_cases import Kind, Layer, listed, square
from .kernel_runner import run_on_arm, run_on_host


@pytest.mark.parametrize("level", [SPEED, SIZE], ids=["speed", "size"])
def test_every_level_computes_the_same(tmp_path: Path, level: Level) -> None:
    layers = [layer for kind in Kind for layer in listed(kind)[::4]]
    run_on_host([layer.case(build_for(None, level)) for layer in layers], tmp_path, level=level)


DEPTHWISE = (Kind.DEPTHWISE, Kind.MDW_MAX, Kind.GATED, Kind.PAIR)


@pytest.mark.parametrize(
    ("bands", "from_end"),
    [
        (2, False),
        (5, True),
        pytest.param(2, True, marks=pytest.mark.slow),
        pytest.param(5, False, marks=pytest.mark.slow),
    ],
)
def test_bands_compute_the_same_with_the_output_behind_the_input(tmp_path: Path, bands: int, from_end: bool) -> None:
    build = replace(DEFAULT_BUILD, bands=RowBands(bands, from_end))
    cases = [layer.case(build) for kind in DEPTHWISE for layer in listed(kind)]
    shared = [case for case in cases if any(isinstance(sharing, RowSchedule) for sharing in case.call.sharing.values())]
    assert len(shared) > len(cases) / 2
    run_on_host(cases, tmp_path / "host", sanitize=True)
    run_on_arm(shared[::3], tmp_path / "arm")


def test_speed_needs_fewer_instructions_and_size_fewer_bytes(tmp_path: Path) -> None:
    layers = (
        Layer(Kind.CONV_2D, 7, 7, 120, 40),
        Layer(Kind.DEPTHWISE, 7, 7, 60, 1, square(5)),
        Layer(Kind.MDW_MAX, 7, 7, 30, 3, square(5)),
    )
    instructions, flash_bytes = {}, {}
    for name, level in LEVELS.items():
        cases = [layer.case(build_for(None, level)) for layer in layers]
        measured = run_on_arm(cases, tmp_path / name, level=level)
        instructions[name] = sum(m.instructions for m in measured.values())
        weights = sum(values.nbytes for case in cases for values in arrays_of(case.call.parameters).values())
        flash_bytes[name] = weights + sum(m.code_bytes for m in measured.values())
    assert instructions["speed"] < instructions["balanced"] < instructions["size"]
    assert flash_bytes["speed"] > flash_bytes["balanced"] > flash_bytes["size"]
