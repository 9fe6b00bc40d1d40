"""A tiny COCO folder: squares and circles on a plain ground, drawn by seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 64


def draw_coco(root: Path, train: int = 24, val: int = 8, seed: int = 0) -> Path:
    """Category 3 is a square, 7 a circle: COCO's numbers have gaps."""
    for split, count in (("train", train), ("val", val)):
        rng = np.random.default_rng(seed + (split == "val"))
        folder = root / f"{split}2017"
        folder.mkdir(parents=True)
        images, annotations = [], []
        for index in range(count):
            canvas = Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(0, 60, 3).tolist()))
            category = (3, 7)[index % 2]
            side = int(rng.integers(24, 40))
            x, y = (int(v) for v in rng.integers(0, SIDE - side, 2))
            shape = ImageDraw.Draw(canvas)
            box = (x, y, x + side, y + side)
            if category == 3:
                shape.rectangle(box, fill=(230, 40, 40))
            else:
                shape.ellipse(box, fill=(40, 230, 60))
            canvas.save(folder / f"{index:03}.png")
            images.append({"id": 100 + index, "file_name": f"{index:03}.png", "width": SIDE, "height": SIDE})
            annotations.append(
                {"id": index, "image_id": 100 + index, "category_id": category, "bbox": [x, y, side, side], "iscrowd": 0}
            )
        categories = [{"id": 7, "name": "circle"}, {"id": 3, "name": "square"}]
        (root / "annotations").mkdir(exist_ok=True)
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    return root
