"""Detection data as COCO lays it out: a JSON file of instances beside a folder of pictures. No torch here.

DIR/annotations/instances_train*.json with the pictures in DIR/train*, and the same for val.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import BadData
from .data import Floats, normalise, read_image
from .objects import Boxes, Objects


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture's file, and what is in the picture."""

    file: Path
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
        picture = read_image(scene.file)
        if mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        objects = scene.objects
        boxes = _mirror(objects.boxes, picture.width) if mirrored else objects.boxes
        scale = resolution / max(picture.size)
        width, height = (max(1, round(side * scale)) for side in picture.size)
        canvas = np.zeros((1, resolution, resolution, 3), np.uint8)
        canvas[0, :height, :width] = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
        return normalise(canvas, channels)[0], replace(objects, boxes=boxes * np.float32(scale))


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
        content = json.loads(file.read_bytes(), object_hook=_without_outlines)
    except (OSError, ValueError) as error:
        raise BadData(f"cannot read {file}: {str(error).splitlines()[0]}") from error
    try:
        categories = sorted(content["categories"], key=lambda category: int(category["id"]))
        ids = tuple(int(category["id"]) for category in categories)
        names = tuple(str(category["name"]) for category in categories)
        images = {int(image["id"]): image for image in content["images"]}
        objects: dict[int, list[_Object]] = {image: [] for image in images}
        for annotation in content["annotations"]:
            image, found = _object(annotation, images, ids)
            if found.box[0] < found.box[2] and found.box[1] < found.box[3]:
                objects[image].append(found)
        scenes = tuple(_scene(images[image], objects[image], pictures) for image in images)
    except BadData as error:
        raise BadData(f"{file}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BadData(f"{file} is not a COCO instances file: {what}") from error
    if not scenes or not names:
        raise BadData(f"{file} names no {'picture' if names else 'category'}")
    if len(set(ids)) != len(ids):
        raise BadData(f"{file} gives one id to two categories")
    if not any(len(scene.objects.single().boxes) for scene in scenes):
        raise BadData(f"{file} has no object in any picture")
    return CocoSet(scenes, names, ids)


def _without_outlines(values: dict[str, Any]) -> dict[str, Any]:
    """COCO's training split is 0.45 GB of JSON, most of it outlines."""
    values.pop("segmentation", None)
    return values


@dataclass(frozen=True)
class _Object:
    """`box` as corners"""

    box: tuple[float, float, float, float]
    label: int
    crowd: bool


def _object(annotation: Mapping[str, Any], images: Mapping[int, Any], ids: tuple[int, ...]) -> tuple[int, _Object]:
    """(image id, the object)"""
    what = f"annotation {annotation.get('id', '?')}"
    image, category = int(annotation["image_id"]), int(annotation["category_id"])
    if image not in images:
        raise BadData(f"{what} belongs to picture {image}, which is not in the file")
    if category not in ids:
        raise BadData(f"{what} has category {category}, which is not in the file")
    x, y, width, height = (float(value) for value in annotation["bbox"])
    if not (all(map(math.isfinite, (x, y, width, height))) and width >= 0 and height >= 0):
        raise BadData(f"{what} has the box {annotation['bbox']}; a box is x, y, width, height, none of the sides negative")
    return image, _Object((x, y, x + width, y + height), ids.index(category), bool(annotation.get("iscrowd", 0)))


def _scene(image: Mapping[str, Any], objects: list[_Object], pictures: Path) -> Scene:
    name = str(image["file_name"])
    file = pictures / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadData(f"picture {name!r} lies outside {pictures}")
    if not file.is_file():
        raise BadData(f"picture {file} does not exist")
    boxes = np.array([found.box for found in objects], np.float32).reshape(-1, 4)
    width, height = float(image["width"]), float(image["height"])
    outside = (boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)
    if outside.any():
        raise BadData(f"picture {name!r} is {width:g} x {height:g}, and has a box at {boxes[outside][0].tolist()}")
    boxes = boxes.clip(0, [width, height, width, height]).astype(np.float32)
    labels, crowd = np.array([found.label for found in objects], np.int64), np.array([found.crowd for found in objects], bool)
    return Scene(file, Objects(boxes, labels, crowd))


def _mirror(boxes: Boxes, width: int) -> Boxes:
    """x0, x1 -> width - x1, width - x0"""
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
    return mirrored
