"""The functions of one value: known by name without torch, computed with it."""

from __future__ import annotations

import sys

import pytest

from flynet_tiny.errors import MissingExtra
from flynet_tiny.export import pointwise
from flynet_tiny.export.pointwise import Term, function_table
from flynet_tiny.export.pointwise_torch import FUNCTIONS


def test_every_name_has_a_function() -> None:
    assert set(FUNCTIONS) == pointwise._KNOWN


def test_a_table_without_torch_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"flynet-tiny\[torch\]"):
        function_table(Term("Erf", (None,)), 0.1, 0, 0.1, 0)
