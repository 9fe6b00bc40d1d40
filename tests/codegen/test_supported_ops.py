from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.ir import OpKind, Quantization
from flynet_tiny.codegen.reading.compose import COMPOSED
from flynet_tiny.codegen.reading.file_model import FileOp, FileTensor
from flynet_tiny.codegen.reading.schema import ElementType
from flynet_tiny.codegen.supported_ops import NEAREST, SUPPORTED, as_markdown, no_wrap_of_products, no_wrap_of_sums
from flynet_tiny.quoting import ForeignText


def test_the_document_is_current() -> None:
    document = Path(__file__).resolve().parents[2] / "SUPPORTED_OPS.md"
    assert document.read_text() == as_markdown(), "run `make docs`"


def test_every_operator_of_the_ir_has_rules_and_every_rule_is_a_sentence() -> None:
    assert set(SUPPORTED) == {kind.value for kind in OpKind} - {"FUSED", "READ_VARIABLE"} | set(COMPOSED)
    for constraints in SUPPORTED.values():
        for constraint in constraints:
            assert (constraint.__doc__ or "").strip().endswith(".")


def test_no_alternative_is_given_for_what_is_supported() -> None:
    assert not set(NEAREST) & set(SUPPORTED)


@pytest.mark.parametrize(("output_scale", "holds"), [(0.01, True), (0.01 / (1 << 15), True), (0.01 / (1 << 16), False)])
def test_sums_that_litert_would_wrap_are_refused(output_scale: float, holds: bool) -> None:
    """4 weights of 127 give 65,024 at most: 16 bits, 15 more fit beside the sign (the factor is 0.5 times a power of two)."""
    x = FileTensor(None, ForeignText("x"), (1, 1, 1, 4), ElementType.INT8, Quantization((0.5,), (0,)))
    weights = np.full((1, 1, 1, 4), 127, np.int8)
    w = FileTensor(None, ForeignText("w"), weights.shape, ElementType.INT8, Quantization((0.01,), (0,), 0), weights)
    y = FileTensor(None, ForeignText("y"), (1, 1, 1, 1), ElementType.INT8, Quantization((output_scale,), (0,)))
    assert no_wrap_of_sums(FileOp(0, "CONV_2D", (x, w), (y,), {})) is holds


@pytest.mark.parametrize(("output_scale", "holds"), [(0.25, True), (0.25 / (1 << 13), True), (0.25 / (1 << 16), False)])
def test_products_that_litert_would_wrap_are_refused(output_scale: float, holds: bool) -> None:
    a, b = (FileTensor(None, ForeignText(name), (1, 4), ElementType.INT8, Quantization((0.5,), (0,))) for name in "ab")
    y = FileTensor(None, ForeignText("y"), (1, 4), ElementType.INT8, Quantization((output_scale,), (0,)))
    assert no_wrap_of_products(FileOp(0, "MUL", (a, b), (y,), {})) is holds
