"""How well a classifier does on labelled images: top-1, top-5, every class, and the confusion matrix as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..quoting import markup_environment, shorten, visible
from .dead_channels import DeadChannels, dead_channel_lines

SCHEMA = 1
_CELL, _MARGIN = 26, 110
MOST_CLASSES = 40  # of more, the picture shows those that are confused most
_WORST_SHOWN = 10
_NAME_CHARACTERS, _LABEL_CHARACTERS, _TITLE_CHARACTERS = 20, 14, 60


@dataclass(frozen=True, eq=False)
class Evaluation:
    """confusion  [classes, classes] images by (label, prediction);  top5_right  images whose label is among the first five
    pixels  "mean" and "std" that the images were normalised with, in units of pixels from 0 to 1
    dead_channels  of an int8 network, by layer

    Equal scores are ordered by class index, as argmax does.
    """

    model: str
    runtime: str
    data: str
    class_names: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    top5_right: int
    pixels: Mapping[str, Sequence[float]]
    dead_channels: tuple[DeadChannels, ...] = ()

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
        "pixels": {name: list(values) for name, values in found.pixels.items()},
        "images": found.images,
        "top1": found.top1,
        "top5": found.top5,
        "dead_channels": [asdict(layer) for layer in found.dead_channels],
        "per_class": per_class,
        "confusion": found.confusion.tolist(),
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def evaluation_text(found: Evaluation) -> str:
    """A few lines: the shares, then the classes from the worst on."""
    lines = [
        f"{_shown(found.model)} ({found.runtime}) on {found.images:,} images of {_shown(found.data)}",
        f"  top-1  {found.top1:7.2%}",
        f"  top-5  {found.top5:7.2%}",
    ]
    shares = [(share, i) for i, share in enumerate(found.per_class) if share is not None]
    for share, i in sorted(shares)[:_WORST_SHOWN]:
        row = found.confusion[i].copy()
        row[i] = 0
        taken = f", most often taken for {_shown(found.class_names[int(row.argmax())], _NAME_CHARACTERS)}" if row.any() else ""
        name = _shown(found.class_names[i], _NAME_CHARACTERS)
        lines.append(f"  {name:<{_NAME_CHARACTERS}} {share:7.2%} of {int(found.confusion[i].sum()):,}{taken}")
    if len(shares) > _WORST_SHOWN:
        lines.append(f"  and {len(shares) - _WORST_SHOWN} classes that do better")
    lines += [f"  dead channels  {line}" for line in dead_channel_lines(found.dead_channels)]
    return "\n".join(lines) + "\n"


def confusion_svg(found: Evaluation) -> str:
    """Rows are labels, columns predictions; the darker, the larger the share of the row. Empty cells are left out.

    Of more than MOST_CLASSES classes those are shown that take part in most mistakes, as label or as prediction.
    """
    shown = most_confused(found.confusion)
    totals = found.confusion.sum(axis=1)[shown]
    confusion = found.confusion[np.ix_(shown, shown)]
    cells = [
        {
            "x": _MARGIN + int(column) * _CELL,
            "y": _MARGIN + int(row) * _CELL,
            "count": int(confusion[row, column]),
            "share": float(confusion[row, column]) / int(totals[row]),
            "right": bool(row == column),
        }
        for row, column in np.argwhere(confusion > 0)
    ]
    labels = [
        {"name": _shown(found.class_names[c], _LABEL_CHARACTERS), "at": _MARGIN + i * _CELL + _CELL / 2}
        for i, c in enumerate(shown)
    ]
    environment = markup_environment(__package__ or "report")
    part = "" if len(shown) == len(found.class_names) else f"; the {len(shown)} most confused of {len(found.class_names)} classes"
    of = f"of {_shown(found.data)}{part}"
    view = {
        "title": f"{_shown(found.model)} ({found.runtime}): {found.top1:.2%} of {found.images} images {of}",
        "cells": cells, "labels": labels, "cell": _CELL, "margin": _MARGIN, "side": len(shown) * _CELL,
        "width": max(_MARGIN + len(shown) * _CELL + 20, 460),
    }  # fmt: skip
    return environment.get_template("confusion.svg.j2").render(view)


def _shown(name: str, limit: int = _TITLE_CHARACTERS) -> str:
    """A stranger's name in one line of a table or a picture: nothing in it acts, and it is not longer than its place."""
    return shorten(visible(name), limit)


def most_confused(confusion: npt.NDArray[np.int64]) -> list[int]:
    """At most MOST_CLASSES classes, in their order: those with most mistakes, the first of equals."""
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * np.diag(confusion)
    return sorted(np.argsort(-wrong, kind="stable")[:MOST_CLASSES].tolist())
