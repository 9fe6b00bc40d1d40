"""`flynet-tiny train`: images, a progress bar, a checkpoint, and beside it the metrics and the learning curve.

While the training runs, all that it needs to go on lies in FILE.resume, renewed after each epoch; it is removed at the end.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadCheckpoint, BadData, Interrupted, MissingTool, OutputFailed, UsageError
from ..flynet.data import digits
from ..flynet.networks import config_to_dict
from ..flynet.recipe import Distillation, Recipe, paper_recipe, small_recipe
from ..flynet.stream import FolderStream
from ..report.learning_curve import learning_curve
from .console import Reporter
from .detecting import COCO, train_on_coco
from .network import NetworkRequest

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..flynet.classification import LabelledImages
    from ..flynet.networks import NetworkConfig
    from ..flynet.training_state import Progress, TrainingState

DIGITS = "digits"


@dataclass(frozen=True)
class TrainingRequest:
    """What the user asked for; None means the recipe's value.

    start    a checkpoint whose weights the training begins with;  teacher: one whose logits it learns from
    """

    data: str
    network: NetworkRequest
    out: Path
    recipe: str | None = None
    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    workers: int = 2
    device: str = "auto"
    mixed_precision: bool = False
    resume: bool = False
    start: Path | None = None
    teacher: str | None = None
    distillation: Distillation = Distillation()  # noqa: RUF009 - frozen
    tensorboard: Path | None = None


def train_network(request: TrainingRequest) -> None:
    """Train on the request's data, print what was reached, and write the checkpoint whole or not at all."""
    if request.data.startswith(COCO):
        train_on_coco(request.data, request.network, request.epochs, request.batch, request.out, request.start)
        return
    asked = request.network.config()  # bad options, before anything is loaded
    _require_writable(request.out)
    is_first = int(os.environ.get("RANK", "0")) == 0
    reporter = Reporter(quiet=not is_first)
    train_set, held_out = _images(request, asked.resolution, asked.channels)
    config = replace(request.network, classes=len(train_set.class_names)).config()
    from ..flynet.distributed import process_group
    from ..flynet.model import count_params
    from ..flynet.networks import build_network

    recipe = _recipe(request, count_params(build_network(config, 0)))
    device = _device(request.device)
    with process_group(device), reporter.step("train") as step:
        from ..flynet.checkpoint import Metadata, save_checkpoint
        from ..flynet.classification import train_classifier

        start, resume = _start(request, config)
        metadata = Metadata(config, {}, train_set.class_names, request.data)
        began, first = time.monotonic(), 0 if resume is None else resume.epoch
        writer = _tensorboard(request.tensorboard) if is_first else None
        epoch_now = first + 1

        def on_step(progress: Progress) -> None:
            nonlocal epoch_now
            epoch_now = progress.epoch
            done = (progress.epoch - 1 - first) * progress.steps + progress.step
            images_per_s = done * recipe.batch / max(1e-9, time.monotonic() - began)
            text = f"loss {progress.loss:.3f}  {progress.accuracy:.1%}  {images_per_s:.0f} images/s"
            step.progress((progress.epoch - 1) * progress.steps + progress.step, progress.epochs * progress.steps, text)

        def on_epoch(model: nn.Module, state: TrainingState) -> None:
            _write_metrics(request.out, state.history)
            save_checkpoint(_resume_file(request.out), model, metadata, state.as_dict())
            last = state.history[-1]
            reporter.line(
                "",
                f"epoch {state.epoch:>3}  loss {last['loss']:.3f}  training {last['train_accuracy']:.2%}  "
                f"held out {last['held_out_accuracy']:.2%}  {last['images_per_s']:.0f} images/s",
            )
            if writer is not None:
                for name, value in last.items():
                    writer.add_scalar(name, value, state.epoch)

        try:
            model, metrics = train_classifier(
                config, train_set, held_out, recipe=recipe, seed=request.seed, start=start, resume=resume,
                teacher=_teacher(request.teacher, config), distillation=request.distillation, device=device,
                mixed_precision=request.mixed_precision, on_step=on_step, on_epoch=on_epoch,
            )  # fmt: skip
        except KeyboardInterrupt as error:
            raise Interrupted(_interrupted(request.out, epoch_now)) from error
        if is_first:
            save_checkpoint(request.out, model, replace(metadata, metrics=asdict(metrics)))
            _resume_file(request.out).unlink(missing_ok=True)
            step.say(f"{config.name}, {metrics.accuracy:.2%} of {len(held_out)} held-out images right -> {request.out}")


def _images(request: TrainingRequest, resolution: int, channels: int) -> tuple[LabelledImages, LabelledImages]:
    """Training and held-out images: the digits' fixed split, or a folder's `train` and `val`."""
    if request.data == DIGITS:
        return digits(resolution, channels)
    root = Path(request.data)
    if not ((root / "train").is_dir() and (root / "val").is_dir()):
        raise BadData(f"{root} must hold the folders train/CLASS/ and val/CLASS/ with pictures")
    train_set, held_out = (FolderStream(root, resolution, channels, split, request.workers) for split in ("train", "val"))
    if train_set.class_names != held_out.class_names:
        raise BadData(f"{root}/train and {root}/val do not hold the same classes")
    return train_set, held_out


def _recipe(request: TrainingRequest, params: int) -> Recipe:
    """The recipe by name (digits: small, folders: the paper's), with the options that were given."""
    name = request.recipe or ("small" if request.data == DIGITS else "paper")
    recipe = small_recipe() if name == "small" else paper_recipe(params, second_stage=request.start is not None)
    return recipe.changed(request.epochs, request.batch, request.learning_rate)


def _device(name: str) -> torch.device:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: this torch finds no GPU")
    chosen = "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(f"{chosen}:{os.environ.get('LOCAL_RANK', '0')}" if chosen == "cuda" else chosen)


def _start(request: TrainingRequest, config: NetworkConfig) -> tuple[nn.Module | None, TrainingState | None]:
    """The weights to begin with, and where an interrupted training goes on."""
    from ..flynet.checkpoint import load_checkpoint, load_interrupted
    from ..flynet.training_state import TrainingState

    if request.resume:
        file = _resume_file(request.out)
        if not file.is_file():
            state = "is finished" if request.out.is_file() else "was never begun"
            raise UsageError(f"nothing to resume: the training of {request.out} {state}")
        model, metadata, training = load_interrupted(file)
        _require_same(file, metadata.config, config, "give the same options, or leave --resume out")
        return model, TrainingState.from_dict(training)
    if request.start is None:
        return None, None
    model, metadata = load_checkpoint(request.start)
    _require_same(request.start, metadata.config, config, "--start needs the same", but=_NOT_IN_WEIGHTS)
    return model, None


_NOT_IN_WEIGHTS = ("resolution", "temperature", "quantization_levels")


def _require_same(file: Path, found: NetworkConfig, asked: NetworkConfig, advice: str, but: Sequence[str] = ()) -> None:
    """UsageError with the first option in which a checkpoint's network is not the one to train."""
    given, wanted = config_to_dict(found), config_to_dict(asked)
    for key in {**wanted, **given}:
        if key not in but and given.get(key) != wanted.get(key):
            raise UsageError(f"{file} has {key} {given.get(key)}, the network to train {wanted.get(key)}; {advice}")


def _teacher(name: str | None, config: NetworkConfig) -> nn.Module | None:
    """A checkpoint of ours, or `torchvision:NAME` with its own weights."""
    if name is None:
        return None
    if name.startswith("torchvision:"):
        try:
            from torchvision.models import get_model  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError as error:
            raise MissingTool("torchvision", "pip install torchvision") from error
        try:
            found: nn.Module = get_model(name.removeprefix("torchvision:"), weights="DEFAULT")
        except (ValueError, OSError) as error:
            raise UsageError(f"--teacher {name}: {str(error).splitlines()[0]}") from error
        return found
    from ..flynet.checkpoint import load_checkpoint

    model, metadata = load_checkpoint(Path(name))
    if (metadata.config.classes, metadata.config.input_shape) != (config.classes, config.input_shape):
        raise BadCheckpoint(
            f"teacher {name} takes {list(metadata.config.input_shape[1:])} to {metadata.config.classes} classes, "
            f"{config.name} takes {list(config.input_shape[1:])} to {config.classes}"
        )
    return model


def _tensorboard(folder: Path | None) -> Any:
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingTool("tensorboard", "pip install tensorboard") from error
    return SummaryWriter(str(folder))


def _write_metrics(out: Path, history: Sequence[Mapping[str, float]]) -> None:
    """OUT.jsonl, a line an epoch, and OUT.svg, each replaced whole."""
    texts = {".jsonl": "".join(json.dumps(dict(epoch)) + "\n" for epoch in history), ".svg": learning_curve(history)}
    for suffix, text in texts.items():
        path = out.with_suffix(suffix)
        beside = path.with_name(f".{path.name}.part")
        try:
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, path)
        except OSError as error:
            raise OutputFailed(f"cannot write {path}: {error.strerror}") from error


def _resume_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.resume")


def _interrupted(out: Path, epoch: int) -> str:
    if _resume_file(out).is_file():
        return f"interrupted in epoch {epoch}; what was reached before it is kept: go on with the same command and --resume"
    return f"interrupted in epoch {epoch}; no epoch was finished, nothing was kept"


def _require_writable(out: Path) -> None:
    """Fail before the training, not after it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = out.with_name(f".{out.name}.probe-{os.getpid()}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputFailed(f"cannot write {out}: {error.strerror}") from error
