from __future__ import annotations

from flynet_tiny.flynet.networks.flynet_config import Residual
from flynet_tiny.studies import ablation


def test_the_table_has_every_variant_once_with_its_spread(monkeypatch) -> None:
    monkeypatch.setattr(ablation, "VARIANTS", dict(list(ablation.VARIANTS.items())[:1]))
    said: list[str] = []
    rows = ablation.ablation((0, 1), 1, said.append).splitlines()
    assert len(rows) == 3
    assert rows[2].startswith("| 1 head | ")
    assert " ± " in rows[2]
    assert len(said) == 2


def test_the_variants_differ_in_one_thing_each() -> None:
    assert len(set(ablation.VARIANTS.values())) == len(ablation.VARIANTS) == 8
    assert {v.residual for v in ablation.VARIANTS.values()} == set(Residual)
