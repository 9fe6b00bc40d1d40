"""A build's instruction set is that of its chip's core."""

from __future__ import annotations

import pytest

from flynet_tiny.codegen.build import ARMV6M, DSP, PLAIN, Isa, build_named


@pytest.mark.parametrize(
    ("target", "isa"), [("any", DSP), ("stm32f412", DSP), ("nrf5340", DSP), ("stm32f207", PLAIN), ("rp2040", ARMV6M)]
)
def test_the_core_decides_the_instruction_set(target: str, isa: Isa) -> None:
    assert build_named(target).isa is isa
