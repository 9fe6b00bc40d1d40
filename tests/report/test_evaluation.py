"""Top-1, top-5, classes and the confusion matrix of scores that are written out here."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.report.dead_channels import DeadChannels
from flynet_tiny.report.evaluation import Evaluation, Tally, confusion_svg, evaluation_json, evaluation_text, most_confused

NAMES = ("ant", "bee", "cat <&>", "dog", "eel", "fox", "gnu")
PIXELS = {"mean": [0.5], "std": [0.25]}


@pytest.fixture
def found() -> Evaluation:
    tally = Tally(len(NAMES))
    scores = np.array([[9, 1, 2, 3, 4, 5, 6], [9, 8, 1, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6, 7]], np.int8)
    tally.add(scores[:2], np.array([0, 1]))
    tally.add(scores[2:], np.array([1]))
    return Evaluation("net", "host", "pictures", NAMES, tally.confusion, tally.top5_right, PIXELS)


def test_top1_and_top5_count_images(found: Evaluation) -> None:
    assert found.images == 3
    assert found.top1 == pytest.approx(1 / 3)
    assert found.top5 == pytest.approx(2 / 3)  # bee is the sixth of the third image
    assert found.per_class[:3] == (1.0, 0.0, None)


def test_equal_scores_are_ordered_by_class_as_argmax_does() -> None:
    tally = Tally(8)
    tally.add(np.full((2, 8), -128, np.int8), np.array([4, 5]))
    assert tally.confusion[:, 0].sum() == 2
    assert tally.top5_right == 1


def test_lowest_int8_is_no_winner() -> None:
    tally = Tally(2)
    tally.add(np.array([[-128, 127]], np.int8), np.array([1]))
    assert tally.confusion[1, 1] == 1


def test_confusion_rows_are_labels(found: Evaluation) -> None:
    assert found.confusion[1, 0] == 1
    assert found.confusion[1, 6] == 1
    content = json.loads(evaluation_json(found))
    assert content["confusion"] == found.confusion.tolist()
    assert content["per_class"][1] == {"name": "bee", "images": 2, "top1": 0.0}
    assert "bee" in evaluation_text(found).splitlines()[3]


def test_dead_channels_are_named(found: Evaluation) -> None:
    dead = replace(found, dead_channels=(DeadChannels("conv_2", 8, (1, 4), ()),))
    assert evaluation_text(dead).splitlines()[-1] == "  dead channels  conv_2: of 8 channels 2 never change (1, 4)"
    layer = {"layer": "conv_2", "channels": 8, "constant": [1, 4], "unread": []}
    assert json.loads(evaluation_json(dead))["dead_channels"] == [layer]


def test_picture_is_xml_with_a_cell_for_each_pair_that_occurs(found: Evaluation) -> None:
    root = ET.fromstring(confusion_svg(found))
    cells = [e for e in root if e.tag.endswith("rect") and e.get("fill-opacity")]
    assert len(cells) == 3
    assert sum(cell.get("fill") == "#1f6fd1" for cell in cells) == 1
    assert sum(e.text == "cat <&>" for e in root) == 2


def test_picture_of_many_classes_shows_the_most_confused() -> None:
    confusion = np.eye(50, dtype=np.int64) * 9
    confusion[48, 3] = 2
    names = tuple(f"class{i}" for i in range(50))
    svg = confusion_svg(Evaluation("net", "host", "pictures", names, confusion, 50, PIXELS))
    assert most_confused(confusion) == [*range(39), 48]
    assert "the 40 most confused of 50 classes" in svg
    assert svg.count("fill-opacity") == 41
    assert ">class48<" in svg
    assert ">class49<" not in svg
