from __future__ import annotations

from xml.etree import ElementTree

from flynet_tiny.report.learning_curve import learning_curve

EPOCHS = [
    {"loss": 2.0, "train_accuracy": 0.2, "held_out_accuracy": 0.1},
    {"loss": 1.0, "train_accuracy": 0.6, "held_out_accuracy": 0.5},
    {"loss": 0.5, "train_accuracy": 0.9, "held_out_accuracy": 0.85},
]


def test_a_curve_has_a_point_for_each_epoch_and_says_the_last_values() -> None:
    root = ElementTree.fromstring(learning_curve(EPOCHS))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.get("points", "").split()) for line in lines] == [3, 3, 3]
    text = "".join(root.itertext())
    assert "held out 85.00%" in text
    assert "loss 0.500" in text


def test_a_detector_is_drawn_by_its_average_precisions() -> None:
    root = ElementTree.fromstring(learning_curve([{"loss": 2.0, "ap": 0.1, "ap50": 0.25, "ap75": 0.05}] * 2))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    heights = [float(line.get("points", "").split(",")[-1]) for line in lines]
    assert heights == [220.0, 256.0, 40.0]
    assert "AP50 25.00%" in "".join(root.itertext())


def test_one_epoch_is_a_picture_too() -> None:
    assert "epoch 1" in learning_curve(EPOCHS[:1])
