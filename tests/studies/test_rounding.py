from __future__ import annotations

import pytest

from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.studies import rounding


def test_the_table_has_a_row_for_each_number_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_seed(config: FlyNetConfig, seed: int, calibration: tuple[int, ...], *epochs: int) -> object:
        return [(count, (90.0, 80.0 + seed, 80.0, 85.0)) for count in calibration]

    monkeypatch.setattr(rounding, "_one_seed", one_seed)
    said: list[str] = []
    lines = rounding.study(seeds=(0, 2), calibration=(4, 1347), say=said.append).splitlines()
    assert lines[2] == "| 4 images | 90.00 ± 0.00 % | 81.00 ± 1.41 % | 80.00 ± 0.00 % | 85.00 ± 0.00 % |"
    assert lines[3].startswith("| 1,347 images | ")
    assert len(said) == 4


@pytest.mark.slow
def test_a_seed_is_trained_rounded_and_fine_tuned_both_ways() -> None:
    config = FlyNetConfig(width=0.3, resolution=8, classes=10, channels=1, heads=1)
    (found,) = rounding._one_seed(config, 0, (1,), 1, 1)
    assert found[0] == 1
    trained, rounded, in_float, in_int8 = found[1]
    assert trained > 15
    assert len({rounded, in_float, in_int8}) > 1
