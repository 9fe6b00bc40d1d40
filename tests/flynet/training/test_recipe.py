from __future__ import annotations

import pytest

from flynet_tiny.errors import UsageError
from flynet_tiny.flynet.training.recipe import Distillation, Optimizer, Schedule, paper_recipe, small_recipe


def test_the_papers_recipe_follows_the_size_and_the_stage() -> None:
    small, large = paper_recipe(650_000), paper_recipe(2_200_000)
    assert (small.epochs, small.batch, small.learning_rate, small.momentum) == (150, 64, 0.4, 0.2)
    assert (small.optimizer, small.schedule) == (Optimizer.SGD, Schedule.COSINE)
    assert (small.weight_decay, large.weight_decay) == (1e-5, 4e-5)
    assert small.temperature_start == 10.0
    assert paper_recipe(2_200_000, second_stage=True).momentum == 0.9


def test_the_recipe_for_small_data_does_not_anneal() -> None:
    assert small_recipe().temperature_start == 1.0


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"temperature": float("nan")}, {"alpha": 1.1}, {"alpha": -0.1}])
def test_a_distillation_that_cannot_be_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Distillation(**options)
