"""COCO's layout: what is drawn comes back in place; what is damaged is refused in one line that names it."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.errors import BadData
from flynet_tiny.flynet.detection.coco import load_coco, read_instances

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
        (lambda c: c["annotations"][1].pop("bbox"), ["annotation 1", "no 'bbox'"]),
        (lambda c: c["images"][1].pop("file_name"), ["picture 1 (id 101)", "no 'file_name'"]),
        (lambda c: c["images"][1].update(file_name=7), ["file_name 7", "must be a text"]),
        (lambda c: c["images"][1].update(file_name="/etc/passwd"), ["lies outside"]),
        (lambda c: c["images"][1].update(file_name="x" * 5000), ["does not exist", "xxx...xxx"]),
        (lambda c: c["images"][1].update(file_name="a\0b\x1b\ud800"), ["'a\\x00b\\x1b\\ud800' does not exist"]),
        (lambda c: c["images"][1].update(width=0), ["width 0", "number of pixels"]),
        (lambda c: c["images"][1].update(width=1e300), ["width"]),
        (lambda c: c["images"][1].update(height="64"), ['height "64"', "whole number"]),
        (lambda c: c["images"][1].update(id=100), ["picture id 100 is given twice"]),
        (lambda c: c["images"].insert(0, None), ["picture 0 is not an object"]),
        (lambda c: c["annotations"][1].update(id=0), ["annotation id 0 is given twice"]),
        (lambda c: c["annotations"][1].update(bbox=[True, 2, 3, 4]), ["annotation 1", "four numbers"]),
        (lambda c: c["annotations"][1].update(bbox=[10**400, 2, 3, 4]), ["annotation 1", "four numbers"]),
        (lambda c: c["annotations"][1].update(bbox=[[[[]]], {}, 3, 4]), ["bbox a list"]),
        (lambda c: c["annotations"][1].update(category_id=[3]), ["category_id [3]", "whole number"]),
        (lambda c: c["annotations"][1].update(image_id=True), ["image_id true", "whole number"]),
        (lambda c: c["annotations"][1].update(iscrowd="no"), ['iscrowd "no"', "0 or 1"]),
        (lambda c: c["categories"][0].update(name=None), ["name null", "must be a text"]),
        (lambda c: c["categories"][0].update(id=10**30), ["category 0", "whole number"]),
        (lambda c: c.update(images=[]), ["names no picture"]),
        (lambda c: c["images"].pop(1), ["belongs to picture 101"]),
        (lambda c: c.update(images=[], annotations=[]), ["names no picture"]),
        (lambda c: c.update(annotations=[]), ["no object"]),
        (lambda c: c.update(annotations=7), ["not a COCO instances file", "not a list"]),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, -1, 5]), ["annotation 1", "none of the sides negative"]),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), ["bbox [1, 2, 3]", "four numbers"]),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, float("nan"), 5]), ["NaN is not a number of JSON"]),
        (lambda c: c["annotations"][1].update(bbox=[900, 2, 3, 5]), ["001.png", "900"]),
        (lambda c: c["annotations"][1].update(category_id=99), ["category 99"]),
        (lambda c: c["images"][1].update(file_name="gone.png"), ["gone.png", "does not exist"]),
        (lambda c: c["images"][1].update(file_name="../../etc/passwd"), ["outside"]),
        (lambda c: c["categories"].append({"id": 3, "name": "again"}), ["category id 3 is given twice"]),
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"images":' * 100_000, "nested too deeply"),
        (b'{"categories": [{"id": 1e999}]}', "category 0 has id Infinity"),
        (b'{"images": [], "categories": [], "annotations": [1e999]}', "names no category"),
        (b'{"images": [{"id": Infinity}]}', "Infinity is not a number"),
        (b'{"images": [{"id": ' + b"9" * 5000 + b"}]}", "cannot read"),
        (b'{"images": "\xff\xfe\xfa"}', "cannot read"),
        (b"\xef\xbb\xbf[]", "holds no object of JSON"),
        (b"7", "holds no object of JSON"),
        (b"", "cannot read"),
    ],
    ids=["arrays", "objects", "1e999", "1e999 as entry", "Infinity", "5,000 digits", "no UTF-8", "BOM", "number", "empty"],
)
def test_what_is_no_instances_file_is_one_line(root, text, words):
    (root / "annotations" / "instances_train2017.json").write_bytes(text)
    message = refused(root)
    assert words in message
    assert len(message) < 400


def test_values_beyond_all_numbers_are_refused(root):
    """1e999 is legal JSON, and infinite."""
    file = root / "annotations" / "instances_train2017.json"
    whole = file.read_text()
    for key in ("image_id", "category_id", "id", "width"):
        start = whole.index(f'"{key}": ') + len(key) + 4
        end = min(whole.index(sign, start) for sign in ",}")
        file.write_text(whole[:start] + "1e999" + whole[end:])
        assert f"{key} Infinity" in refused(root)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just(10**400) | st.just("../x"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()):
    """Every place in a value of JSON, as keys and indices."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = draw_coco(tmp_path_factory.mktemp("mutants") / "coco", train=3, val=1)
    file = folder / "annotations" / "instances_train2017.json"
    return file, folder / "train2017", json.loads(file.read_text())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mutant_of_a_good_file_is_more_than_one_line(good, data):
    """Some are still good; then what is loaded is whole."""
    file, pictures, content = good
    content = copy.deepcopy(content)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from([place for place in places(content) if place] or [("images",)]))
        parent = content
        for key in path:
            parent = parent[key]
        if data.draw(st.booleans()):
            parent[last] = data.draw(VALUES)
        elif isinstance(parent, dict):
            del parent[last]
        else:
            parent.append(copy.deepcopy(parent[last]))
    file.write_text(json.dumps(content))
    try:
        found = read_instances(file, pictures)
    except BadData as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < len(str(file)) + len(str(pictures)) + 300
        return
    assert len(found.class_names) == len(found.category_ids)
    for scene in found.scenes:
        assert scene.file.parent == pictures
        assert np.isfinite(scene.objects.boxes).all()
        assert ((scene.objects.labels >= 0) & (scene.objects.labels < len(found.class_names))).all()


def test_pictures_are_looked_at_before_they_are_trained_on(root):
    with ThreadPoolExecutor(1) as pool:
        assert load_coco(root, "train").check(pool, lambda *_: None) == {}
        rewrite(root, lambda content: content["images"][1].update(width=9000))
        with pytest.raises(BadData, match=r"001\.png is 64 x 64, its annotations are for 9000 x 64"):
            load_coco(root, "train").check(pool, lambda *_: None)
        with pytest.raises(BadData, match="9000 x 64"):
            load_coco(root, "train").load(1, SIDE, 3)
        (root / "train2017" / "000.png").write_bytes(b"")
        with pytest.raises(BadData, match=r"000\.png: it is empty"):
            load_coco(root, "train").check(pool, lambda *_: None)


def test_a_corrupt_picture_is_refused_when_it_is_read(root):
    (root / "train2017" / "000.png").write_bytes(b"no picture")
    with pytest.raises(BadData, match=r"000\.png"):
        load_coco(root, "train").load(0, 32, 3)
