"""A convolution along one row of values equals the reference bit for bit; its length and padding are data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flynet_tiny.codegen.build import BALANCED, SIZE, Level, build_for
from flynet_tiny.codegen.ir import OpKind, Window
from flynet_tiny.codegen.kernels import select

from .conv_cases import NUMBERS, Kind, Layer
from .kernel_runner import KernelCase, run_on_arm, run_on_host


def row(length: int, taps: int, left: int | None = None, right: int | None = None, **others: object) -> Layer:
    """One filter along a row; by default padded so that the length stays."""
    before = (taps - 1) // 2 if left is None else left
    after = taps // 2 if right is None else right
    return Layer(Kind.CONV_2D, 1, length, 1, 1, Window(1, taps, pad_left=before, pad_right=after), **others)  # type: ignore[arg-type]


LAYERS = [
    *(row(length, taps) for length in (1, 2, 3, 4, 5, 8, 11) for taps in range(1, 9)),
    row(20, 3, 0, 0),
    row(21, 4, 3, 2),
    row(5, 7, 9, 3),
    row(5, 7, 0, 12),
    row(1, 3, 5, 0),
    *(row(13, 7, numbers=numbers) for numbers in NUMBERS),
    *(row(14, 7, table=table) for table in (OpKind.HARD_SWISH, OpKind.LOGISTIC, OpKind.RELU6)),
]


def cases(level: Level) -> list[KernelCase]:
    return [replace(layer, seed=seed).case(build_for(None, level)) for seed, layer in enumerate(LAYERS)]


@pytest.mark.parametrize("level", [BALANCED, SIZE], ids=["balanced", "size"])
def test_rows_equal_the_reference_on_the_host(tmp_path: Path, level: Level) -> None:
    run_on_host(cases(level), tmp_path, sanitize=True, level=level)


def test_rows_equal_the_reference_on_cortex_m4(tmp_path: Path) -> None:
    run_on_arm(cases(BALANCED), tmp_path)


def test_rows_of_all_lengths_share_a_function() -> None:
    calls = [layer.case().call for layer in (row(24, 7), row(19, 7), row(232, 7, 1, 2))]
    assert {call.parameters.name for call in calls} == {"conv_1d_k7"}
    codes = [[(p.path, p.value) for p in call.parameters.flat() if p.role.name == "CODE"] for call in calls]
    assert codes[0] == codes[1] == codes[2]


@pytest.mark.parametrize("window", [Window(1, 3, 1, 2), Window(1, 3, 1, 1, 1, 2), Window(1, 9), Window(1, 3, pad_top=1)])
def test_other_windows_are_left_to_other_kernels(window: Window) -> None:
    graph = Layer(Kind.CONV_2D, 1, 30, 1, 1, window).graph()
    call = select(graph.ops[0], graph, build_for(None))
    assert call.parameters.template != "conv_1d"
