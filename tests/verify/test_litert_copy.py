"""The copy that LiteRT gets: only where it costs no more than the file."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.verify import litert_copy
from flynet_tiny.verify.litert_copy import for_litert

from ..codegen.reading.bombs import File, plain

REFUSAL = "it holds what the loader does not know"


def two_subgraphs() -> File:
    file = plain()
    file.copies_of_subgraph = 2
    return file


def test_the_main_subgraph_is_given_alone() -> None:
    data = two_subgraphs().bytes()
    found = for_litert(data, REFUSAL)
    assert found is not None
    copy, change = found
    assert change == "the main subgraph alone"
    assert len(copy) < 2 * len(data)
    assert [op.kind for op in read_tflite(copy).ops] == [op.kind for op in read_tflite(data).ops]
    assert for_litert(copy, REFUSAL) is None  # nothing is odd any more


@pytest.mark.parametrize("what", ["tensors", "ops", "buffers", "codes"])
def test_tables_that_are_named_many_times_are_not_written_out(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = two_subgraphs()
    entries = getattr(file, what)
    entries.extend(entries[-1:] * (litert_copy.MAX_TABLES + 1))
    monkeypatch.setattr(litert_copy.schema.ModelT, "InitFromObj", _never)
    assert for_litert(file.bytes(), REFUSAL) is None


def test_data_that_buffers_share_is_not_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    file = two_subgraphs()
    file.buffers += [file.buffer(np.zeros(4096, np.uint8))] * 100
    monkeypatch.setattr(litert_copy.schema.ModelT, "InitFromObj", _never)
    assert for_litert(file.bytes(), REFUSAL) is None


def _never(_: object) -> None:
    pytest.fail("the file was unpacked")
