"""`flynet-tiny evaluate`: any form of a network on labelled images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..deploy.console import Reporter
from ..deploy.network import Floats
from ..errors import BadData, UsageError
from ..flynet.data.images import centre_crop, digits, normalise
from ..flynet.data.picture_check import describe
from ..flynet.data.picture_file import Oddity, inspect, read_image
from ..flynet.data.picture_listing import Pictures, list_pictures
from ..flynet.data.pixels import OURS, Pixels
from ..folders.manifest import Kind
from ..folders.output_folder import output_folder, require_replaceable
from ..quoting import ForeignText, visible
from ..report.dead_channels import dead_channels
from ..report.evaluation import Evaluation, Tally, confusion_svg, evaluation_json, evaluation_text
from .classifiers import Classifier, open_classifier

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EvaluationRequest:
    """What the user asked for.

    model    a checkpoint, an `.onnx`, a `.tflite` or an output folder
    data     "digits", or a folder of pictures by class
    runtime  where an output folder's C runs: "host" or "emulated"; None: on the host
    pixels   what a foreign model wants; None: what an output folder says, else they are normalised as in training
    limit    of images;  out  gets evaluation.json and confusion.svg
    """

    model: Path
    data: str
    runtime: str | None = None
    pixels: Pixels | None = None
    limit: int | None = None
    out: Path | None = None
    as_json: bool = False


def evaluate_model(request: EvaluationRequest) -> str:
    """Run every image, and give the table or the JSON."""
    model, data, pixels, out = request.model, request.data, request.pixels, request.out
    if out is not None:
        require_replaceable(out, Kind.EVALUATION)
    if not model.exists():
        raise UsageError(f"{model} does not exist; give a .pt, .onnx or .tflite file, or an output folder")
    if pixels is not None and model.suffix.lower() == ".pt":
        raise UsageError(f"{model} was trained here and gets the pixels of its training; leave --pixels, --mean and --std out")
    reporter = Reporter()
    with reporter.step("evaluate") as step, open_classifier(model, request.runtime) as classifier:
        wanted = (pixels or classifier.pixels or OURS[classifier.channels]).for_channels(classifier.channels)
        images = _images(data, classifier, request.limit, wanted)
        images = images.in_order_of(classifier.class_names)
        _require_agreement(model, classifier, data, images.class_names)
        tally = Tally(classifier.classes)
        done = 0
        for batch, labels in images.batches(classifier.batch):
            tally.add(classifier.scores(batch), labels)
            done += len(labels)
            step.progress(done, len(images.labels))
        found = Evaluation(
            model=model.name,
            runtime=classifier.runtime + classifier.remark(),
            data=data,
            class_names=images.class_names,
            confusion=tally.confusion,
            top5_right=tally.top5_right,
            pixels=wanted.as_dict(),
            dead_channels=() if classifier.graph is None else dead_channels(classifier.graph),
        )
        odd = describe([images.oddities])
        notes = [f"pictures: {odd}"] if odd else []
        if pixels is None and data != "digits" and model.suffix.lower() in (".onnx", ".tflite"):
            notes.append("pictures are normalised as in our training; --pixels says what a model from elsewhere was trained on")
        step.say(f"{found.top1:.2%} of {found.images} images right in {found.runtime}", *notes)
    text = evaluation_json(found)
    if out is not None:
        with output_folder(out, Kind.EVALUATION) as folder:
            (folder / "evaluation.json").write_text(text, encoding="utf-8")
            (folder / "confusion.svg").write_text(confusion_svg(found), encoding="utf-8")
        reporter.line("written", visible(str(out)))
    return text if request.as_json else "\n" + evaluation_text(found)


@dataclass(frozen=True, eq=False)
class _Images:
    """Labelled images, either loaded [N, C, H, W] or read from their files batch by batch, which counts the odd ones."""

    source: Floats | Pictures
    labels: Labels
    class_names: tuple[str, ...]
    resolution: int
    channels: int
    pixels: Pixels
    oddities: Counter[Oddity] = field(default_factory=Counter)

    def in_order_of(self, names: tuple[str, ...]) -> _Images:
        """With the classes as the network has them, where they are the same in another order."""
        if set(names) != set(self.class_names):
            return self
        index = np.array([names.index(name) for name in self.class_names], np.int64)
        return replace(self, labels=index[self.labels], class_names=names)

    def batches(self, size: int) -> Iterator[tuple[Floats, Labels]]:
        for start in range(0, len(self.labels), size):
            labels = self.labels[start : start + size]
            if isinstance(self.source, Pictures):
                files = [self.source.file(index) for index in range(start, start + len(labels))]
                self.oddities.update(oddity for file in files for oddity in inspect(file).oddities)
                pixels = np.stack([centre_crop(read_image(file), self.resolution) for file in files])
                yield normalise(pixels, self.channels, self.pixels), labels
            else:
                yield self.source[start : start + size], labels


def _images(data: str, classifier: Classifier, limit: int | None, how: Pixels) -> _Images:
    resolution, channels = classifier.resolution, classifier.channels
    if data == "digits":
        held_out = digits(resolution, channels, how)[1]
        assert held_out.labels is not None
        count = len(held_out) if limit is None else min(limit, len(held_out))
        chosen = np.linspace(0, len(held_out) - 1, count).round().astype(np.int64)
        return _Images(held_out.images[chosen], held_out.labels[chosen], held_out.class_names, resolution, channels, how)
    pictures = list_pictures(data, "val").evenly(limit)
    if pictures.labels is None:
        raise BadData(f"{data} holds pictures without labels; put them in one folder for each class: {data}/CLASS/picture")
    return _Images(pictures, pictures.labels, pictures.class_names, resolution, channels, how)


def _require_agreement(model: Path, classifier: Classifier, data: str, names: tuple[str, ...]) -> None:
    if len(names) != classifier.classes:
        raise BadData(f"{model} knows {classifier.classes} classes, {data} holds {len(names)}; they must be the same ones")
    if classifier.class_names and classifier.class_names != names:
        at = next(i for i, (one, other) in enumerate(zip(classifier.class_names, names, strict=True)) if one != other)
        known, given = ForeignText(classifier.class_names[at]), ForeignText(names[at])
        raise BadData(f"class {at} is {known!r} in {model} and {given!r} in {data}")
