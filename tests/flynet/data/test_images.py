"""Image sources: deterministic, normalised, and clear about what they cannot read."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.flynet.data import images as data


@pytest.fixture
def picture_folder(tmp_path):
    """Two classes with three and two pictures, in a train and a val folder; each picture has one colour."""
    for split, counts in (("train", {"cat": 3, "dog": 2}), ("val", {"cat": 1, "dog": 1})):
        for name, count in counts.items():
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(count):
                colour = (200 - 20 * index, 50, 10) if name == "cat" else (10, 50, 200 - 20 * index)
                Image.new("RGB", (40, 30), colour).save(tmp_path / split / name / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
def test_digits_are_split_once_and_for_all(channels):
    train, held_out = data.digits(16, channels)
    assert train.images.shape == (1347, channels, 16, 16)
    assert held_out.images.shape == (450, channels, 16, 16)
    assert set(held_out.labels) == set(range(10))
    again = data.digits(16, channels)
    assert np.array_equal(again[0].images, train.images)
    assert np.array_equal(again[1].labels, held_out.labels)
    known = {image.tobytes() for image in train.images}
    assert sum(image.tobytes() in known for image in held_out.images) == 0


def test_pixels_are_normalised_as_documented():
    grey = data.normalise(np.array([[[0, 255]]], np.uint8), 1)
    assert grey.tolist() == [[[[-2.0, 2.0]]]]
    colour = data.normalise(np.full((1, 2, 2, 3), 255, np.uint8), 3)
    np.testing.assert_allclose(colour[0, :, 0, 0], [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225], rtol=1e-6)
    luminance = data.normalise(np.array([[[[255, 0, 0]]]], np.uint8), 1)
    np.testing.assert_allclose(luminance, [[[[(0.299 - 0.5) / 0.25]]]], rtol=1e-6)
    assert data.normalise(np.zeros((1, 4, 4), np.uint8), 3).shape == (1, 3, 4, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_photo_crops_depend_on_the_seed_alone(channels):
    first = data.photos(24, channels, count=6, seed=3)
    assert first.images.shape == (6, channels, 24, 24)
    assert first.images.flags.c_contiguous
    assert np.array_equal(first.images, data.photos(24, channels, count=6, seed=3).images)
    assert not np.array_equal(first.images, data.photos(24, channels, count=6, seed=4).images)
    assert len({image.tobytes() for image in first.images}) == 6


def test_a_folder_gives_its_classes_in_order(picture_folder):
    loaded = data.folder(picture_folder, 16, split="train")
    assert loaded.class_names == ("cat", "dog")
    assert loaded.labels.tolist() == [0, 0, 0, 1, 1]
    assert loaded.images.shape == (5, 3, 16, 16)
    red, blue = loaded.images[:3].mean((2, 3)), loaded.images[3:].mean((2, 3))
    assert (red[:, 0] > red[:, 2]).all()
    assert (blue[:, 2] > blue[:, 0]).all()
    assert len(data.folder(picture_folder, 16, split="val")) == 2
    assert data.folder(picture_folder / "train", 16, limit=2).labels.tolist() == [0, 1]


def test_loose_pictures_have_no_labels(picture_folder):
    loaded = data.folder(picture_folder / "train" / "cat", 16, channels=1)
    assert loaded.labels is None
    assert loaded.images.shape == (3, 1, 16, 16)


@pytest.mark.parametrize("size", [(300, 20), (20, 300), (7, 5), (224, 224)])
def test_centre_crops_have_the_resolution_whatever_the_picture(size):
    crop = data.centre_crop(Image.new("RGB", size, (9, 8, 7)), 32)
    assert crop.shape == (32, 32, 3)
    assert (crop == (9, 8, 7)).all()


@pytest.mark.parametrize("size", [(400_000, 1), (1, 400_000), (3, 100)])
def test_a_strip_is_cropped_before_it_is_scaled(size):
    """At 224 pixels, 400,000 by 1 would be scaled to 85 GB."""
    strip = Image.new("RGB", size, (1, 2, 3))
    middle = [(side - 1) // 2 for side in size]
    strip.paste((200, 100, 50), (max(0, middle[0] - 20), max(0, middle[1] - 20), middle[0] + 20, middle[1] + 20))
    assert (data.centre_crop(strip, 224) == (200, 100, 50)).all()


def test_folders_without_pictures_are_named(picture_folder):
    (picture_folder / "train" / "eel").mkdir()
    with pytest.raises(BadData, match="eel"):
        data.folder(picture_folder, 16, split="train")
    empty = picture_folder / "empty"
    empty.mkdir()
    with pytest.raises(BadData, match="empty holds no picture"):
        data.folder(empty, 16)
    with pytest.raises(BadData, match="missing is not a folder"):
        data.folder(picture_folder / "missing", 16)


def test_shifts_move_the_picture_and_repeat_its_edge():
    images = np.arange(2 * 32 * 32, dtype=np.float32).reshape(2, 1, 32, 32)
    shifted = data.shift_at_random(images, np.random.default_rng(0))
    assert shifted.shape == images.shape
    candidates = {}
    for down in range(-2, 3):
        for right in range(-2, 3):
            rows, columns = (np.arange(32) + down).clip(0, 31), (np.arange(32) + right).clip(0, 31)
            candidates[images[0, 0][rows][:, columns].tobytes()] = (down, right)
    assert candidates[shifted[0, 0].tobytes()] != (0, 0)


def test_augmented_images_use_every_source_equally_often():
    train, _ = data.digits(16, 1)
    few = train.first(4)
    made = data.augmented(few, 12, seed=1)
    assert len(made) == 12
    assert sorted(made.labels.tolist()) == sorted(few.labels.tolist() * 3)
    assert np.array_equal(made.images, data.augmented(few, 12, seed=1).images)
    assert not np.array_equal(made.images, data.augmented(few, 12, seed=2).images)


def test_sets_iterate_by_image_and_by_batch():
    images = data.photos(8, 1, count=5)
    assert [image.shape for image in images] == [(1, 1, 8, 8)] * 5
    assert [len(batch) for batch in images.batches(2)] == [2, 2, 1]
    assert np.array_equal(np.concatenate(list(images.batches(2))), images.images)


def test_an_image_set_must_be_whole():
    good = np.zeros((2, 1, 8, 8), np.float32)
    for images, labels in ((good.astype(np.float64), None), (good[:0], None), (good, np.zeros(3, np.int64)), (good[0], None)):
        with pytest.raises(BadData):
            data.ImageSet(images, labels)


def test_sources_go_by_their_names(picture_folder):
    assert len(data.source("photos", 16, 3, 7)) == 7
    assert data.source("digits", 16, 1, 7, seed=1).images.shape == (7, 1, 16, 16)
    assert len(data.source(str(picture_folder), 16, 3, 3)) == 3
    with pytest.raises(UsageError, match="at least 1"):
        data.source("photos", 16, 3, 0)
    with pytest.raises(BadData, match="is not a folder"):
        data.source("nowhere", 16, 3)


def test_data_configuration_and_presets_need_no_torch():
    code = (
        "import sys; from flynet_tiny.flynet.networks import presets; from flynet_tiny.flynet.data import images;"
        "images.digits(8, 1); images.photos(8, 3, 2);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
