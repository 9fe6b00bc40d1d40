"""How well a classifier does on labelled images: top-1, top-5, every class, and the confusion matrix as a picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt

SCHEMA = 1
_CELL, _MARGIN = 26, 110
_SMALL_CELL, _MANY_CLASSES = 6, 40  # from this many classes on the cells are small and bear no numbers
_WORST_SHOWN = 10


@dataclass(frozen=True, eq=False)
class Evaluation:
    """confusion  [classes, classes] images by (label, prediction);  top5_right  images whose label is among the first five

    Equal scores are ordered by class index, as argmax does.
    """

    model: str
    runtime: str
    data: str
    class_names: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    top5_right: int

    @property
    def images(self) -> int:
        return int(self.confusion.sum())

    @property
    def top1(self) -> float:
        return float(np.trace(self.confusion)) / self.images

    @property
    def top5(self) -> float:
        return self.top5_right / self.images

    @property
    def per_class(self) -> tuple[float | None, ...]:
        """The share of each class's images that are right; None for a class without images."""
        totals = self.confusion.sum(axis=1)
        return tuple(
            float(right) / int(total) if total else None for right, total in zip(np.diag(self.confusion), totals, strict=True)
        )


class Tally:
    """Collects scores [N, classes] and labels [N] batch by batch."""

    def __init__(self, classes: int):
        self.confusion = np.zeros((classes, classes), np.int64)
        self.top5_right = 0

    def add(self, scores: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> None:
        order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :5]
        np.add.at(self.confusion, (labels, order[:, 0]), 1)
        self.top5_right += int((order == labels[:, None]).any(axis=1).sum())


def evaluation_json(found: Evaluation) -> str:
    """The same evaluation gives the same text."""
    per_class = [
        {"name": name, "images": int(row.sum()), "top1": share}
        for name, row, share in zip(found.class_names, found.confusion, found.per_class, strict=True)
    ]
    content = {
        "schema": SCHEMA,
        "model": found.model,
        "runtime": found.runtime,
        "data": found.data,
        "images": found.images,
        "top1": found.top1,
        "top5": found.top5,
        "per_class": per_class,
        "confusion": found.confusion.tolist(),
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def evaluation_text(found: Evaluation) -> str:
    """A few lines: the shares, then the classes from the worst on."""
    lines = [
        f"{found.model} ({found.runtime}) on {found.images:,} images of {found.data}",
        f"  top-1  {found.top1:7.2%}",
        f"  top-5  {found.top5:7.2%}",
    ]
    shares = [(share, i) for i, share in enumerate(found.per_class) if share is not None]
    for share, i in sorted(shares)[:_WORST_SHOWN]:
        row = found.confusion[i].copy()
        row[i] = 0
        taken = f", most often taken for {found.class_names[int(row.argmax())]}" if row.any() else ""
        lines.append(f"  {found.class_names[i]:<20} {share:7.2%} of {int(found.confusion[i].sum()):,}{taken}")
    if len(shares) > _WORST_SHOWN:
        lines.append(f"  and {len(shares) - _WORST_SHOWN} classes that do better")
    return "\n".join(lines) + "\n"


def confusion_svg(found: Evaluation) -> str:
    """Rows are labels, columns predictions; the darker, the larger the share of the row. Empty cells are left out."""
    classes = len(found.class_names)
    is_large = classes >= _MANY_CLASSES
    cell = _SMALL_CELL if is_large else _CELL
    totals = found.confusion.sum(axis=1)
    cells = [
        {
            "x": _MARGIN + int(column) * cell,
            "y": _MARGIN + int(row) * cell,
            "count": int(found.confusion[row, column]),
            "share": float(found.confusion[row, column]) / int(totals[row]),
            "right": bool(row == column),
        }
        for row, column in np.argwhere(found.confusion > 0)
    ]
    labels = [{"name": name[:14], "at": _MARGIN + i * cell + cell / 2} for i, name in enumerate(found.class_names)]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__ or "report", "."), undefined=jinja2.StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    view = {
        "title": f"{found.model} ({found.runtime}): {found.top1:.2%} of {found.images} images of {found.data}",
        "cells": cells, "labels": [] if is_large else labels, "cell": cell, "margin": _MARGIN, "side": classes * cell,
        "width": max(_MARGIN + classes * cell + 20, 460), "numbers": not is_large,
    }  # fmt: skip
    return environment.get_template("confusion.svg.j2").render(view)
