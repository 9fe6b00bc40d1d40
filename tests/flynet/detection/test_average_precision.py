"""Average precision against values counted by hand, and against COCO's reference implementation."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from flynet_tiny.flynet.detection.average_precision import average_precision
from flynet_tiny.flynet.detection.objects import Detections, Objects

Box = tuple[float, float, float, float]
RIGHT, OTHER, WRONG = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0), (50.0, 50.0, 60.0, 60.0)


def detections(boxes: list[Box], scores: list[float], labels: list[int]) -> Detections:
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int64))


def objects(boxes: list[Box], labels: list[int], crowd: list[bool] | None = None) -> Objects:
    return Objects(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(crowd or [False] * len(labels), bool)
    )


TWO = objects([RIGHT, OTHER], [0, 0])


def ap50(found: Detections, truth: Objects, classes: int = 1) -> float:
    return average_precision([found], [truth], classes).ap50


def test_all_right_is_one_and_nothing_is_none() -> None:
    found = average_precision([detections([RIGHT, OTHER], [0.9, 0.8], [0, 0])], [TWO], 1)
    assert (found.ap, found.ap50, found.ap75) == (1.0, 1.0, 1.0)
    assert ap50(detections([], [], []), TWO) == 0.0
    assert ap50(detections([RIGHT], [0.9], [0]), objects([], [])) == 0.0


def test_precision_is_read_at_101_recalls() -> None:
    """Right, wrong, right: precision 1 up to recall 1/2 (51 points), then 2/3 (50 points)."""
    mixed = detections([RIGHT, WRONG, OTHER], [0.9, 0.8, 0.7], [0, 0, 0])
    assert ap50(mixed, TWO) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    only_half = detections([WRONG, RIGHT], [0.9, 0.8], [0, 0])
    assert ap50(only_half, TWO) == pytest.approx(51 * 0.5 / 101)


def test_a_second_box_on_one_object_is_wrong() -> None:
    assert ap50(detections([RIGHT, RIGHT, OTHER], [0.9, 0.8, 0.7], [0, 0, 0]), TWO) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_overlap_decides_at_which_thresholds_a_box_is_right() -> None:
    """8 of 10 columns: an overlap of 0.8 counts at 0.50 to 0.80, 7 of 10 thresholds."""
    found = average_precision([detections([(0, 0, 8, 10)], [0.9], [0])], [objects([RIGHT], [0])], 1)
    assert (found.ap, found.ap50, found.ap75) == (pytest.approx(0.7), 1.0, 1.0)
    less = average_precision([detections([(0, 0, 6, 10)], [0.9], [0])], [objects([RIGHT], [0])], 1)
    assert (less.ap, less.ap50, less.ap75) == (pytest.approx(0.3), 1.0, 0.0)


def test_a_box_on_a_crowd_counts_for_nothing() -> None:
    crowd = objects([OTHER, (40, 40, 90, 90)], [0, 0], [False, True])
    assert ap50(detections([WRONG, WRONG, OTHER], [0.9, 0.8, 0.7], [0, 0, 0]), crowd) == 1.0
    assert ap50(detections([RIGHT, OTHER], [0.9, 0.7], [0, 0]), crowd) == pytest.approx(0.5)


def test_classes_without_an_object_do_not_count() -> None:
    found = detections([RIGHT, OTHER, WRONG], [0.9, 0.8, 0.7], [0, 0, 2])
    assert ap50(found, TWO, classes=3) == 1.0
    assert ap50(found, objects([RIGHT, WRONG], [0, 1]), classes=3) == pytest.approx(0.5)


def test_scores_are_compared_across_pictures() -> None:
    """A wrong box that is surer than another picture's right one comes first."""
    found = [detections([WRONG], [0.9], [0]), detections([RIGHT], [0.8], [0])]
    truth = [objects([], []), objects([RIGHT], [0])]
    assert average_precision(found, truth, 1).ap50 == pytest.approx(0.5)


def test_only_the_best_hundred_of_a_picture_count() -> None:
    many = [WRONG] * 100 + [RIGHT]
    assert ap50(detections(many, list(np.linspace(0.9, 0.1, 101)), [0] * 101), objects([RIGHT], [0])) == 0.0
    assert ap50(detections(many[1:], list(np.linspace(0.9, 0.1, 100)), [0] * 100), objects([RIGHT], [0])) == pytest.approx(0.01)


def random_pictures(seed: int, classes: int) -> tuple[list[Detections], list[Objects]]:
    """Objects, some of them crowds, and boxes near them with few distinct scores, so that ties occur."""
    random = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(12):
        count, extra = int(random.integers(0, 6)), int(random.integers(0, 130 if random.random() < 0.2 else 8))
        corners = random.integers(0, 60, (count, 2))
        boxes = np.concatenate([corners, corners + random.integers(1, 30, (count, 2))], 1).astype(np.float32)
        labels, crowd = random.integers(0, classes, count), random.random(count) < 0.2
        near = np.repeat(np.arange(count), random.integers(0, 4, count))
        shifted = boxes[near] + random.integers(-3, 4, (len(near), 4))
        corners = random.integers(0, 60, (extra, 2))
        loose = np.concatenate([corners, corners + random.integers(1, 30, (extra, 2))], 1)
        every = np.concatenate([shifted, loose]).astype(np.float32)
        every[:, 2:] = np.maximum(every[:, 2:], every[:, :2] + 1)
        kinds = np.concatenate([labels[near], random.integers(0, classes, extra)])
        found.append(Detections(every, (random.integers(1, 20, len(every)) / 20).astype(np.float32), kinds))
        truth.append(Objects(boxes, labels, crowd))
    return found, truth


def reference(found: list[Detections], truth: list[Objects]) -> tuple[float, float, float]:
    """What pycocotools says."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def xywh(box: Any) -> list[float]:
        x0, y0, x1, y1 = (float(value) for value in box)
        return [x0, y0, x1 - x0, y1 - y0]

    annotations = [
        {"image_id": image, "category_id": int(label), "bbox": xywh(box), "area": 1.0, "iscrowd": int(crowd)}
        for image, objects in enumerate(truth)
        for box, label, crowd in zip(objects.boxes, objects.labels, objects.crowd, strict=True)
    ]
    results = [
        {"image_id": image, "category_id": int(label), "bbox": xywh(box), "score": float(score)}
        for image, boxes in enumerate(found)
        for box, score, label in zip(boxes.boxes, boxes.scores, boxes.labels, strict=True)
    ]
    kinds = sorted({entry["category_id"] for entry in annotations + results})
    with contextlib.redirect_stdout(io.StringIO()):
        given = COCO()
        given.dataset = {
            "images": [{"id": image} for image in range(len(truth))],
            "annotations": [{"id": index + 1, **entry} for index, entry in enumerate(annotations)],
            "categories": [{"id": kind} for kind in kinds],
        }
        given.createIndex()
        evaluation = COCOeval(given, given.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return tuple(float(value) for value in evaluation.stats[:3])


@pytest.mark.parametrize("seed", range(20))
def test_random_boxes_score_what_the_reference_says(seed: int) -> None:
    found, truth = random_pictures(seed, classes=3)
    ours = average_precision(found, truth, 3)
    assert (ours.ap, ours.ap50, ours.ap75) == pytest.approx(reference(found, truth), abs=1e-12)
    assert 0 < ours.ap < ours.ap50 < 1
