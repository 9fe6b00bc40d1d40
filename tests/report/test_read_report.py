from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flynet_tiny.errors import BadData
from flynet_tiny.report.read_report import read_report
from flynet_tiny.report.schema import NotDone, Report

from .small_report import small_report


def test_what_was_written_is_read() -> None:
    for report in (small_report(), replace(small_report(), instructions=NotDone("--no-emulate"), fine_tuning=None)):
        assert read_report(report.to_json().encode(), "report.json") == report


def test_keys_of_another_version_are_left_out() -> None:
    found = json.loads(small_report().to_json())
    found["weather"] = found["flash"]["weather"] = "fair"
    assert read_report(json.dumps(found).encode(), "report.json") == small_report()


CONTRADICTIONS: dict[str, Callable[[Any], None]] = {
    "flash contradicts itself: there is no budget": lambda r: r["flash"].update(budget_bytes=0),
    "flash contradicts itself: used and code": lambda r: r["flash"].update(code_bytes=None),
    "ram contradicts itself: there is no budget": lambda r: r["ram"].update(budget_bytes=0),
    "ram contradicts itself: the stack, its bound": lambda r: r["ram"].update(static_bytes=None),
    r"ram.banks\[0\] contradicts itself: the bank has no bytes": lambda r: r["ram"]["banks"][0].update(size_bytes=0),
    "fine_tuning contradicts itself: what is compared": lambda r: r["fine_tuning"].update(simulated=None),
    "it contradicts itself: the layers' instructions": lambda r: r["layers"][1].update(instructions=None),
    "it contradicts itself: the layers' instructions are": lambda r: r["instructions"].update(total=7),
}


@pytest.mark.parametrize("words", CONTRADICTIONS)
def test_figures_that_contradict_each_other_are_damage(words: str) -> None:
    found = json.loads(small_report().to_json())
    CONTRADICTIONS[words](found)
    with pytest.raises(BadData, match=f"^x/report.json is damaged: {words}"):
        read_report(json.dumps(found).encode(), "x/report.json")


def test_a_report_that_is_made_contradictory_is_refused_where_it_is_made() -> None:
    report: Report = small_report()
    with pytest.raises(ValueError, match="known together"):
        replace(report.flash, used_bytes=None)
