from __future__ import annotations

from pathlib import Path

from flynet_tiny.codegen.ir import OpKind
from flynet_tiny.codegen.supported_ops import NEAREST, SUPPORTED, as_markdown


def test_the_document_is_current() -> None:
    document = Path(__file__).resolve().parents[2] / "SUPPORTED_OPS.md"
    assert document.read_text() == as_markdown(), "run `make docs`"


def test_every_operator_of_the_ir_has_rules_and_every_rule_is_a_sentence() -> None:
    assert set(SUPPORTED) == {kind.value for kind in OpKind} - {"FUSED"}
    for constraints in SUPPORTED.values():
        for constraint in constraints:
            assert (constraint.__doc__ or "").strip().endswith(".")


def test_no_alternative_is_given_for_what_is_supported() -> None:
    assert not set(NEAREST) & set(SUPPORTED)
