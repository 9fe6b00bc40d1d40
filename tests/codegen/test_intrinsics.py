"""A library holds the shared C that its kernels use, and no more."""

from __future__ import annotations

from flynet_tiny.codegen.emit import template_environment
from flynet_tiny.codegen.intrinsics import intrinsics


def test_plain_kernels_bring_no_emulated_lanes() -> None:
    text = intrinsics(template_environment(), ["ft_plain_multiply(windows);"])
    assert "ft_plain_int8" in text
    assert "ft_smlad" not in text


def test_a_section_brings_those_that_it_uses() -> None:
    text = intrinsics(template_environment(), ["ft_load4(input0);"])
    assert "ft_load4(" in text
    assert "ft_smlad" in text
    assert "ft_plain_multiply" not in text


def test_a_library_without_shared_c_has_the_common_arithmetic_alone() -> None:
    text = intrinsics(template_environment(), ["memcpy(output0, input0, 4);"])
    assert "ft_clamp" in text
    assert "ft_smlad" not in text
