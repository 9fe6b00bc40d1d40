"""Detection data as COCO lays it out: a JSON file of instances beside a folder of pictures. No torch here.

DIR/annotations/instances_train*.json with the pictures in DIR/train*, and the same for val. The JSON is a stranger's: the type
and the range of every value are looked at before it is used.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from ...errors import BadData
from ...quoting import ForeignText
from ..data.images import Floats, normalise
from ..data.picture_check import Oddities, check_pictures
from ..data.picture_file import inspect, read_image
from .objects import Boxes, Objects

_LARGEST = 2**31  # of any number; coordinates are float32 later


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture's file, its (width, height) in pixels, and what is in the picture."""

    file: Path
    size: tuple[int, int]
    objects: Objects


@dataclass(frozen=True, eq=False)
class CocoSet:
    """A split; pictures are read when they are asked for, and `category_ids` are COCO's numbers of the classes."""

    scenes: tuple[Scene, ...]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.scenes)

    def load(self, index: int, resolution: int, channels: int, mirrored: bool = False) -> tuple[Floats, Objects]:
        """(image [channels, resolution, resolution] normalised, the objects in its pixels).

        The picture is scaled to fit and stands in the upper left corner; the rest is black.
        """
        scene = self.scenes[index]
        picture = read_image(scene.file, scene.size)
        if mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        objects = scene.objects
        boxes = _mirror(objects.boxes, picture.width) if mirrored else objects.boxes
        scale = resolution / max(picture.size)
        width, height = (max(1, round(side * scale)) for side in picture.size)
        canvas = np.zeros((1, resolution, resolution, 3), np.uint8)
        canvas[0, :height, :width] = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
        return normalise(canvas, channels)[0], replace(objects, boxes=boxes * np.float32(scale))

    def check(self, pool: Executor, progress: Callable[[int, int], None]) -> Oddities:
        """Look at the heads of the pictures; BadData of one that cannot be read, or has another size than the JSON says."""
        return check_pictures(lambda i: inspect(self.scenes[i].file, self.scenes[i].size), len(self), pool, progress)


def load_coco(root: Path | str, split: str) -> CocoSet:
    """The split "train" or "val" of a COCO folder; BadData names the file and what is wrong with it."""
    root = Path(root)
    found = sorted((root / "annotations").glob(f"instances_{split}*.json"))
    if len(found) != 1:
        count = "no" if not found else f"{len(found)}"
        raise BadData(f"{root}/annotations holds {count} instances_{split}*.json; COCO's layout has one for each split")
    pictures = root / found[0].stem.removeprefix("instances_")
    if not pictures.is_dir():
        raise BadData(f"{found[0]} belongs to the folder {pictures}, which does not exist")
    return read_instances(found[0], pictures)


def read_instances(file: Path, pictures: Path) -> CocoSet:
    """Every picture of an instances file with its objects, in the file's order; objects of no width or height are left out."""
    try:
        content = json.loads(file.read_bytes(), object_hook=_without_outlines, parse_constant=_no_number)
    except RecursionError as error:
        raise BadData(f"cannot read {file}: it is nested too deeply for a COCO instances file") from error
    except OSError as error:
        raise BadData(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise BadData(f"cannot read {file}: {str(error).splitlines()[0]}") from error
    try:
        return _instances(content, pictures)
    except BadData as error:
        raise BadData(f"{file}: {error}") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _without_outlines(values: dict[str, Any]) -> dict[str, Any]:
    """COCO's training split is 0.45 GB of JSON, most of it outlines."""
    values.pop("segmentation", None)
    return values


def _instances(content: object, pictures: Path) -> CocoSet:
    categories = _by_id(_records(content, "categories", "category"))
    images = _by_id(_records(content, "images", "picture"))
    if not images or not categories:
        raise BadData(f"it names no {'picture' if categories else 'category'}")
    ids = tuple(sorted(categories))
    names = tuple(categories[number].text("name") for number in ids)
    labels = {number: label for label, number in enumerate(ids)}
    objects: dict[int, list[_Object]] = {image: [] for image in images}
    seen: set[int] = set()
    for annotation in _records(content, "annotations", "annotation"):
        if annotation.has("id"):
            number = annotation.integer("id")
            if number in seen:
                raise BadData(f"annotation id {number} is given twice")
            seen.add(number)
        image, found = _object(annotation, images, labels)
        if found.box[0] < found.box[2] and found.box[1] < found.box[3]:
            objects[image].append(found)
    scenes = tuple(_scene(images[image], objects[image], pictures) for image in images)
    if not any(len(scene.objects.single().boxes) for scene in scenes):
        raise BadData("it has no object in any picture")
    return CocoSet(scenes, names, ids)


@dataclass(frozen=True)
class _Record:
    """An entry of one of the lists; its values are taken by name and type, or BadData says which entry lacks what."""

    kind: str
    index: int
    values: Mapping[str, Any]

    def has(self, key: str) -> bool:
        return key in self.values

    def integer(self, key: str) -> int:
        value = self._get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**63:
            raise self.wrong(key, value, "a whole number")
        return value

    def side(self, key: str) -> int:
        value = self.integer(key)
        if not 0 < value <= _LARGEST:
            raise self.wrong(key, value, "a number of pixels")
        return value

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, value, "a text")
        return value

    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height"""
        value = self._get("bbox")
        if not (isinstance(value, list) and len(value) == 4 and all(_is_coordinate(number) for number in value)):
            raise self.wrong("bbox", value, "four numbers: x, y, width, height")
        if value[2] < 0 or value[3] < 0:
            raise self.wrong("bbox", value, "x, y, width, height, none of the sides negative")
        x, y, width, height = map(float, value)
        return x, y, width, height

    def is_set(self, key: str) -> bool:
        value = self.values.get(key, 0)
        if value not in (0, 1) or isinstance(value, float):
            raise self.wrong(key, value, "0 or 1")
        return bool(value)

    def wrong(self, key: str, value: object, wanted: str) -> BadData:
        if isinstance(value, dict) or (isinstance(value, list) and not all(isinstance(part, int | float) for part in value)):
            found = "an object" if isinstance(value, dict) else "a list"
        else:
            found = str(ForeignText(_digits(value)))
        return BadData(f"{self} has {key} {found}; it must be {wanted}")

    def __str__(self) -> str:
        number = self.values.get("id")
        named = f" (id {number})" if isinstance(number, int) and abs(number) < 2**63 else ""
        return f"{self.kind} {self.index}{named}"

    def _get(self, key: str) -> Any:
        if key not in self.values:
            raise BadData(f"{self} has no {key!r}")
        return self.values[key]


def _digits(value: object) -> str:
    """As JSON has it; Python refuses to print a number of some thousand digits."""
    try:
        return json.dumps(value)
    except ValueError:
        return "a huge number"


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST and math.isfinite(value)


def _records(content: object, key: str, kind: str) -> list[_Record]:
    if not isinstance(content, dict):
        raise BadData("it is not a COCO instances file: it holds no object of JSON")
    if key not in content:
        raise BadData(f"it is not a COCO instances file: it has no {key!r}")
    entries = content[key]
    if not isinstance(entries, list):
        raise BadData(f"it is not a COCO instances file: its {key!r} is not a list")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise BadData(f"{kind} {index} is not an object of JSON")
    return [_Record(kind, index, entry) for index, entry in enumerate(entries)]


def _by_id(records: list[_Record]) -> dict[int, _Record]:
    found: dict[int, _Record] = {}
    for record in records:
        number = record.integer("id")
        if number in found:
            raise BadData(f"{record.kind} id {number} is given twice")
        found[number] = record
    return found


@dataclass(frozen=True)
class _Object:
    """`box` as corners"""

    box: tuple[float, float, float, float]
    label: int
    crowd: bool


def _object(annotation: _Record, images: Mapping[int, _Record], labels: Mapping[int, int]) -> tuple[int, _Object]:
    """(image id, the object)"""
    image, category = annotation.integer("image_id"), annotation.integer("category_id")
    if image not in images:
        raise BadData(f"{annotation} belongs to picture {image}, which is not in the file")
    if category not in labels:
        raise BadData(f"{annotation} has category {category}, which is not in the file")
    x, y, width, height = annotation.box()
    return image, _Object((x, y, x + width, y + height), labels[category], annotation.is_set("iscrowd"))


def _scene(image: _Record, objects: list[_Object], pictures: Path) -> Scene:
    name = image.text("file_name")
    shown = ForeignText(name)
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadData(f"picture {shown!r} lies outside {pictures}")
    if not _is_file(pictures / name):
        raise BadData(f"picture {shown!r} does not exist in {pictures}")
    boxes = np.array([found.box for found in objects], np.float32).reshape(-1, 4)
    width, height = image.side("width"), image.side("height")
    outside = (boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)
    if outside.any():
        raise BadData(f"picture {shown!r} is {width} x {height}, and has a box at {boxes[outside][0].tolist()}")
    boxes = boxes.clip(0, [width, height, width, height]).astype(np.float32)
    labels, crowd = np.array([found.label for found in objects], np.int64), np.array([found.crowd for found in objects], bool)
    return Scene(pictures / name, (width, height), Objects(boxes, labels, crowd))


def _is_file(path: Path) -> bool:
    try:
        return os.path.isfile(path)
    except (OSError, ValueError):  # a name that no file system has: too long, with NUL or half a character
        return False


def _mirror(boxes: Boxes, width: int) -> Boxes:
    """x0, x1 -> width - x1, width - x0"""
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
    return mirrored
