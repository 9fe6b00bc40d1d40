"""COCO's layout: what is drawn comes back in place; what is damaged is refused in one line that names it."""

import json

import numpy as np
import pytest

from flynet_tiny.errors import BadData
from flynet_tiny.flynet.coco import load_coco

from .coco_pictures import SIDE, draw_coco


@pytest.fixture
def root(tmp_path):
    return draw_coco(tmp_path / "coco", train=3, val=2)


def rewrite(root, change, split="train"):
    file = root / "annotations" / f"instances_{split}2017.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def refused(root):
    with pytest.raises(BadData) as error:
        load_coco(root, "train")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_pictures_and_objects_come_back(root):
    found = load_coco(root, "train")
    assert (len(found), found.class_names, found.category_ids) == (3, ("square", "circle"), (3, 7))
    image, objects = found.load(0, SIDE, 3)
    assert image.shape == (3, SIDE, SIDE)
    assert (objects.labels.tolist(), objects.crowd.tolist()) == ([0], [False])
    x0, y0, x1, y1 = objects.boxes[0].astype(int)
    red = image[0]
    assert red[y0 + 1 : y1, x0 + 1 : x1].min() > 1.5  # the square is bright red, the ground dark
    outside = red.copy()
    outside[y0 : y1 + 1, x0 : x1 + 1] = -9
    assert outside.max() < 0


def test_scaling_and_mirroring_take_the_boxes_along(root):
    found = load_coco(root, "train")
    boxes = found.load(0, SIDE, 3)[1].boxes
    image, halved = found.load(0, SIDE // 2, 1)
    assert image.shape == (1, SIDE // 2, SIDE // 2)
    np.testing.assert_allclose(halved.boxes, boxes / 2)
    plain, mirrored = found.load(0, SIDE, 3)[0], found.load(0, SIDE, 3, mirrored=True)
    np.testing.assert_array_equal(mirrored[0], plain[:, :, ::-1])
    np.testing.assert_allclose(mirrored[1].boxes[:, [0, 2]], SIDE - boxes[:, [2, 0]])


def test_crowds_are_marked_and_flat_boxes_left_out(root):
    """COCO's own files hold boxes without a height, and outlines that nobody needs here."""
    rewrite(root, lambda content: content["annotations"][0].update(iscrowd=1, segmentation={"counts": [7]}))
    rewrite(root, lambda content: content["annotations"][1].update(bbox=[3, 4, 9, 0]))
    found = [scene.objects for scene in load_coco(root, "train").scenes]
    assert [len(objects.boxes) for objects in found] == [1, 0, 1]
    assert [len(objects.single().boxes) for objects in found] == [0, 0, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("categories"), ["no 'categories'"]),
        (lambda c: c.update(images=[]), ["belongs to picture"]),
        (lambda c: c.update(images=[], annotations=[]), ["names no picture"]),
        (lambda c: c.update(annotations=[]), ["no object"]),
        (lambda c: c.update(annotations=7), ["not a COCO instances file"]),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, -1, 5]), ["annotation 1", "none of the sides negative"]),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), ["not a COCO instances file"]),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, float("nan"), 5]), ["annotation 1"]),
        (lambda c: c["annotations"][1].update(bbox=[900, 2, 3, 5]), ["001.png", "900"]),
        (lambda c: c["annotations"][1].update(category_id=99), ["category 99"]),
        (lambda c: c["images"][1].update(file_name="gone.png"), ["gone.png", "does not exist"]),
        (lambda c: c["images"][1].update(file_name="../../etc/passwd"), ["outside"]),
        (lambda c: c["categories"].append({"id": 3, "name": "again"}), ["one id to two categories"]),
    ],
)
def test_a_damaged_file_is_refused(root, change, words):
    rewrite(root, change)
    message = refused(root)
    assert all(word in message for word in ["instances_train2017.json", *words]), message


def test_a_folder_of_another_layout_is_refused(root, tmp_path):
    assert "holds no instances_train*.json" in refused(tmp_path)
    (root / "annotations" / "instances_train2017.json").write_text("{")
    assert "cannot read" in refused(root)
    (root / "annotations" / "instances_train2014.json").write_text("{}")
    assert "holds 2" in refused(root)


def test_a_corrupt_picture_is_refused_when_it_is_read(root):
    (root / "train2017" / "000.png").write_bytes(b"no picture")
    with pytest.raises(BadData, match=r"000\.png"):
        load_coco(root, "train").load(0, 32, 3)
