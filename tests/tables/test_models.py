"""The list of networks: counts are made, sizes are measured, and figures of other sources are never shown as true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flynet_tiny.errors import OutputFailed, OverBudget, UsageError
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.networks.presets import PRESETS, Preset, Printed
from flynet_tiny.tables import measured_sizes, models
from flynet_tiny.tables.measured_sizes import Sizes, measure_models, read_store, sources_hash
from flynet_tiny.tables.models import difference, list_models, models_table

FEW = {name: PRESETS[name] for name in ("flynet-h3-0.4x", "flynet-h1-0.5x", "flynet-h3-0.3x")}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three presets, and a file of figures that does not exist yet."""
    monkeypatch.setattr(models, "PRESETS", FEW)
    monkeypatch.setattr(measured_sizes, "PRESETS", FEW)
    monkeypatch.setattr(measured_sizes, "STORE", tmp_path / "data" / "models.json")
    return tmp_path / "data" / "models.json"


def keep(store: Path, name: str, sources: str) -> None:
    store.parent.mkdir(exist_ok=True)
    store.write_text(json.dumps({name: {"flash_bytes": 1000, "sram_bytes": 200, "sources": sources}}))


def test_every_row_has_its_counts_and_the_papers_figures(store: Path) -> None:
    keep(store, "flynet-h1-0.5x", sources_hash())
    rows = {row["name"]: row for row in json.loads(models_table(as_json=True))}
    assert set(rows) == set(FEW)
    one = rows["flynet-h1-0.5x"]
    assert (one["params"], one["macs"], one["flash_bytes"], one["sram_bytes"]) == (800_466, 19_255_936, 1000, 200)
    assert one["paper"] == [{"table": 5, "top1": 56.7, "top5": 79.6, "params_m": 0.8, "madds_m": 24, "source": ""}]
    assert round(one["madds_profiler"] / 1e6) == 24
    assert one["difference"] == ""
    assert rows["flynet-h3-0.4x"]["flash_bytes"] is None
    assert "not measured" in rows["flynet-h3-0.4x"]["sizes"]
    assert "another revision" in rows["flynet-h3-0.4x"]["difference"]


def test_figures_of_other_sources_are_not_shown(store: Path) -> None:
    keep(store, "flynet-h1-0.5x", "0" * 64)
    told: list[tuple[int, int, str]] = []
    row = {row.name: row for row in list_models(lambda *each: told.append(each))}["flynet-h1-0.5x"]
    assert told == [(done, len(FEW), name) for done, name in enumerate(FEW)]  # it takes seconds: a terminal shows how far it is
    assert (row.flash_bytes, row.sram_bytes) == (None, None)
    assert "other sources" in row.sizes
    text = models_table(as_json=False)
    assert "1,000" not in text
    assert "measured with other sources; run 'flynet-tiny models --measure'" in text


def test_the_hash_follows_code_and_not_comments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    monkeypatch.setattr(measured_sizes, "_sources", lambda: [("codegen/a.py", file)])
    hashes = []
    for text in ("x = 1\n", "# why\n\nx = 1\n", "x = 2\n"):
        file.write_text(text)
        hashes.append(sources_hash())
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_hash_covers_kernels_templates_and_blocks() -> None:
    names = {name for name, _ in measured_sizes._sources()}
    assert {
        "codegen/templates/kernels/conv_2d.c.j2",
        "export/lower.py",
        "flynet/networks/blocks.py",
        "firmware/stack.py",
    } <= names
    assert not any(name.startswith(("flynet/training/", "flynet/data/")) for name in names)
    assert not any("__pycache__" in name for name in names)


def test_a_network_is_measured_by_its_linked_firmware(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = FlyNetConfig(width=0.3, heads=1, resolution=16, classes=3)
    for module in (models, measured_sizes):
        monkeypatch.setattr(module, "PRESETS", {"small": Preset("small", small)})
    monkeypatch.setattr(measured_sizes, "preset", lambda name: measured_sizes.PRESETS[name])
    assert str(store) in measure_models(["small"])
    (row,) = list_models()
    assert row.flash_bytes is not None
    assert row.sram_bytes is not None
    assert row.params < row.flash_bytes < 4 * row.params
    assert 16 * 16 * 3 < row.sram_bytes < 16_384
    assert row.sizes == "measured with these sources"
    monkeypatch.setattr(measured_sizes, "measure", lambda found: pytest.fail("measured again"))
    measure_models([])


def test_a_network_that_no_chip_holds_is_passed_over(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(found: Preset) -> Sizes:
        if found.name == "flynet-h1-0.5x":
            raise OverBudget("needs more than any chip has")
        return Sizes(1000, 200)

    monkeypatch.setattr(measured_sizes, "PRESETS", FEW)
    monkeypatch.setattr(measured_sizes, "measure", measured)
    measure_models([])
    assert set(read_store()) == set(FEW) - {"flynet-h1-0.5x"}


def test_a_place_that_cannot_be_written_is_refused_before_the_work(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_sizes, "STORE", Path("/proc/nowhere/models.json"))
    monkeypatch.setattr(measured_sizes, "measure", lambda found: pytest.fail("measured"))
    with pytest.raises(OutputFailed, match="checkout"):
        measure_models([])
    with pytest.raises(UsageError, match="unknown model"):
        measure_models(["resnet"])


def test_differences_are_to_the_printed_digit() -> None:
    printed = (Printed(3, 1, 1, 0.86, 34), Printed(5, 1, 1, 0.9, None))
    assert difference(printed, 864_354, 33_772_208) == ""
    assert difference(printed, 874_354, 34_772_208).count("table 3 prints") == 2


def test_the_table_has_a_line_for_every_network_also_where_the_paper_prints_no_top5(monkeypatch: pytest.MonkeyPatch) -> None:
    some = FEW | {name: PRESETS[name] for name in ("mobilenetv3-small-0.5x", "micronet-m0")}
    monkeypatch.setattr(models, "PRESETS", some)
    lines = models_table(as_json=False).splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(some)]] == list(some)
    assert any(line.startswith("mobilenetv3-small-0.5x") and "3: 58 -, 1.6, 21" in line for line in lines)
    assert any(line.startswith("MACs: ") and "attention" in line for line in lines)  # a report counts more
