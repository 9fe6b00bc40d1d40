"""The kernels' tests can fail: wrong bytes, writes outside of a buffer and false promises are all seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flynet_tiny.codegen.kernels.base import RowSchedule, SamePlace

from .conv_cases import Kind, Layer, square
from .kernel_runner import KernelCase, run_on_arm, run_on_host

CONV = Layer(Kind.CONV_2D, 6, 6, 5, 5, square(3))


def changed(case: KernelCase, **call: object) -> KernelCase:
    """The same case with other fields in its kernel call."""
    return replace(case, call=replace(case.call, **call))  # type: ignore[arg-type]


def test_one_wrong_byte_is_found_on_both_machines(tmp_path: Path) -> None:
    case = CONV.case()
    outputs = {name: values.copy() for name, values in case.outputs.items()}
    outputs["y"].reshape(-1)[7] ^= 1
    wrong = replace(case, outputs=outputs)
    with pytest.raises(AssertionError, match="output at 7"):
        run_on_host([wrong], tmp_path / "host")
    with pytest.raises(AssertionError, match="output at 7"):
        run_on_arm([wrong], tmp_path / "arm")


@pytest.mark.parametrize("promise", [SamePlace(), RowSchedule((180,), (180,))], ids=["same place", "no distance"])
def test_a_false_promise_of_sharing_is_found(tmp_path: Path, promise: SamePlace | RowSchedule) -> None:
    with pytest.raises(AssertionError, match=r"overlapping.*output"):
        run_on_host([changed(CONV.case(), sharing={"x": promise})], tmp_path)


def test_scratch_that_is_too_small_is_found(tmp_path: Path) -> None:
    case = CONV.case()
    small = changed(case, scratch_bytes=case.call.scratch_bytes - 16)
    with pytest.raises(AssertionError, match="canary"):
        run_on_host([small], tmp_path / "canary")
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        run_on_host([small], tmp_path / "sanitizer", sanitize=True)


def test_instruction_counts_are_the_same_on_every_run(tmp_path: Path) -> None:
    case = CONV.case()
    first = run_on_arm([case], tmp_path / "first")
    assert first == run_on_arm([case], tmp_path / "second")
    assert first[case.name].instructions > 1000
    assert first[case.name].code_bytes > 200
