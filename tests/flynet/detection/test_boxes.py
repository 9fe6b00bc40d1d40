"""Boxes: overlaps, anchors, matching and suppression against values that can be counted by hand."""

import pytest
import torch

from flynet_tiny.flynet.detection.boxes import (
    ANCHORS_PER_PLACE,
    anchors,
    decode,
    encode,
    match,
    overlaps,
    suppress,
)


def boxes(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 4)


def test_overlaps_are_shared_over_united_area():
    found = overlaps(boxes((0, 0, 2, 2)), boxes((0, 0, 2, 2), (1, 0, 3, 2), (2, 2, 3, 3)))
    assert found.tolist() == [[1.0, pytest.approx(2 / 6), 0.0]]


def test_anchors_stand_at_the_centres_of_their_places():
    made = anchors([(2, 3), (1, 1)], [8, 16])
    assert made.shape == ((6 + 1) * ANCHORS_PER_PLACE, 4)
    centres = (made[:, :2] + made[:, 2:]) / 2
    torch.testing.assert_close(centres[ANCHORS_PER_PLACE], torch.tensor([12.0, 4.0]))
    torch.testing.assert_close(centres[-1], torch.tensor([8.0, 8.0]))
    sides = made[:, 2:] - made[:, :2]
    assert sides[1].tolist() == [32, 32]  # 4 strides at ratio 1
    torch.testing.assert_close(sides[0].prod(), torch.tensor(1024.0))
    assert float(sides[0, 1] / sides[0, 0]) == pytest.approx(0.5)


def test_a_box_comes_back_from_its_anchor():
    at, wanted = boxes((0, 0, 10, 20), (5, 5, 9, 9)), boxes((3, 1, 9, 18), (0, 0, 8, 7))
    torch.testing.assert_close(decode(encode(wanted, at), at), wanted)
    assert encode(at, at).abs().max() == 0


def test_anchors_match_by_overlap_and_every_box_gets_one():
    at = boxes((0, 0, 10, 10), (0, 0, 10, 22), (50, 50, 60, 60), (100, 100, 101, 101))
    assert match(at, boxes((0, 0, 10, 10))).tolist() == [0, -2, -1, -1]
    assert match(at, boxes((0, 0, 10, 10), (58, 50, 90, 60))).tolist() == [0, -2, 1, -1]
    assert match(at, boxes()).tolist() == [-1] * 4


def test_suppression_keeps_the_best_of_those_that_overlap():
    found = boxes((0, 0, 10, 10), (1, 0, 11, 10), (20, 20, 30, 30))
    assert suppress(found, torch.tensor([0.5, 0.9, 0.1])).tolist() == [1, 2]
    assert suppress(boxes(), torch.zeros(0)).tolist() == []
