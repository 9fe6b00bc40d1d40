"""A small share of `make fuzz` at each run of the tests, and the proof that it would find something."""

from __future__ import annotations

import pytest

from flynet_tiny.codegen import tflite_reader
from flynet_tiny.verify.litert import LiteRtProcess

from .drawn_graphs import draw
from .judged_graphs import judge_drawn
from .mutants import Outcome, mutant, read


@pytest.mark.parametrize("first", range(1_000_000, 1_002_000, 500))
def test_broken_files_are_read_or_refused(first: int) -> None:
    for seed in range(first, first + 500):
        outcome, words = read(mutant(seed))
        assert outcome in (Outcome.READ, Outcome.REFUSED), f"mutant {seed}: {words}"


def test_mutants_reach_all_floors_of_the_reader() -> None:
    """Some are still good, and the refusals speak of many things."""
    outcomes = [read(mutant(seed)) for seed in range(400)]
    assert sum(outcome is Outcome.READ for outcome, _ in outcomes) > 20
    refusals = [words for outcome, words in outcomes if outcome is Outcome.REFUSED]
    for word in ("truncated", "scale", "shape", "input", "unsupported"):
        assert any(word in words for words in refusals), word


def test_a_reader_that_breaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> object:
        raise KeyError("broken")

    monkeypatch.setattr(tflite_reader, "build_graph", broken)
    assert any(read(mutant(seed))[0] is Outcome.TRACEBACK for seed in range(100))


@pytest.mark.parametrize("seed", range(2_000_000, 2_000_004))
def test_drawn_graphs_are_equal_in_all_judges(seed: int) -> None:
    with LiteRtProcess() as process:
        judged = judge_drawn(seed, process)
    assert not judged.finding
    assert judged.refused or judged.compared_bytes > 0


def test_the_same_seed_draws_the_same_graph() -> None:
    assert draw(7) == draw(7) != draw(8)
