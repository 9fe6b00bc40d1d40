"""Turns of several steps and the rest cover the count."""

from __future__ import annotations

import pytest

from flynet_tiny.codegen.kernels.turns import in_turns


@pytest.mark.parametrize("count", [1, 7, 8, 9, 196, 3136])
@pytest.mark.parametrize("steps", [1, 4, 8, 16])
def test_turns_and_rest_cover_the_count(count: int, steps: int) -> None:
    turns = in_turns(count, steps)
    assert 1 << turns.shift == steps
    assert turns.turns * steps + turns.rest == count
    assert turns.rest < steps
