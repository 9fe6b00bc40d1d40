"""Presets: each names a network that can be built, and the paper's printed figures are those of the network."""

import pytest
import torch

from flynet_tiny.errors import UsageError
from flynet_tiny.flynet.counts import count, count_params
from flynet_tiny.flynet.networks.flynet import FlyNet
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.networks.mobilenetv3_config import MobileNetV3Config
from flynet_tiny.flynet.networks.presets import PRESETS, preset
from flynet_tiny.flynet.register import build_network

FLYNETS = {name: found for name, found in PRESETS.items() if isinstance(found.config, FlyNetConfig)}
ROWS = [(name, row) for name, found in FLYNETS.items() for row in found.printed]


def test_every_flynet_row_of_the_papers_tables_has_a_preset():
    rows_of_table = {table: sum(row.table == table for _, row in ROWS) for table in (1, 2, 3, 5, 6)}
    assert rows_of_table == {1: 5, 2: 5, 3: 5, 5: 5, 6: 5}
    assert len({found.config for found in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_built(name):
    with torch.device("meta"):
        assert count_params(build_network(preset(name).config, 0)) > 400_000


@pytest.mark.parametrize(("name", "row"), [row for row in ROWS if row[1].params_m], ids=lambda value: str(value)[:40])
def test_parameters_are_the_printed_ones(name, row):
    """To the printed digit; table 2 counts the attention of the authors' code, 43 of 2 to 4 maps instead of 2 to 1."""
    with torch.device("meta"):
        params = count_params(FlyNet(preset(name).config))
    if row.table == 2:
        assert abs(params + 43 * 3 * 2 * 7 - row.params_m * 1e6) < 1_000
    else:
        assert abs(params / 1e6 - row.params_m) < (0.1 if row.params_m == 1 else 0.01 if row.params_m < 1 else 0.05)


@pytest.mark.parametrize(("name", "row"), [row for row in ROWS if row[1].madds_m], ids=lambda value: str(value)[:40])
def test_profiled_madds_are_the_printed_ones(name, row):
    counts = count(preset(name).config)
    madds = counts.profiled_madds / 1e6
    if row.table == 2:
        assert 0.5 < row.madds_m - madds < 0.8
    else:
        assert round(madds) == row.madds_m
    assert counts.macs < counts.profiled_madds


def test_any_width_has_a_name():
    assert preset("mobilenetv3-small-0.75x").config == MobileNetV3Config(0.75)
    assert preset("flynet-h2-0.45x").config == FlyNetConfig(width=0.45, heads=2)
    assert preset("flynet-h3-0.50x") is PRESETS["flynet-h3-0.5x"]
    with pytest.raises(UsageError, match="width must be above 0"):
        preset("mobilenetv3-small-0x")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UsageError, match=r"flynet-h3-0\.4x"):
        preset("flynet-0.4x")
    with pytest.raises(UsageError, match="flynet-tiny models"):
        preset("zzz")
