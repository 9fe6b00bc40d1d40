"""Around any training: the progress bar, FILE.resume after each epoch, the metrics and the learning curve, and the checkpoint.

While the training runs, all that it needs to go on lies in FILE.resume; it is removed at the end. What an interrupted training
has left there becomes FILE.resume.old when another begins (`training_files`).

FILE is the network after the last epoch. Where an earlier one did better on the held-out images, its network is written beside,
as STEM.best.pt: an epoch that is chosen by these images looks better on them than it is.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..deploy.console import Reporter, Step
from ..errors import BadData, Diverged, Interrupted, MissingTool, UsageError
from ..flynet.data.picture_check import Oddities, describe
from ..flynet.networks.network_config import NetworkConfig
from ..flynet.register import config_to_dict
from ..flynet.training.recipe import Recipe
from ..flynet.training.settings import TrainingSettings
from .request import TrainingRequest
from .training_files import TrainingFiles, set_aside

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..flynet.checkpoint import Metadata
    from ..flynet.training.state import Progress, TrainingState


@dataclass(frozen=True)
class Training:
    """What is trained, once the data are known.

    train    gives the network and a dataclass of metrics
    metrics  the same dataclass from a line of the history
    start    the network to begin with, if one was asked for
    shown    of the metrics: name -> what the user reads; shares of 1
    """

    config: NetworkConfig
    recipe: Recipe
    class_names: tuple[str, ...]
    held_out: str
    shown: Mapping[str, str]
    train: Callable[[TrainingSettings], tuple[nn.Module, Any]]
    metrics: Callable[[Mapping[str, float]], Any]
    start: Callable[[], nn.Module | None]


def run_training(request: TrainingRequest, prepare: Callable[[Reporter], Training]) -> None:
    """Train, print what was reached, and write the checkpoint whole or not at all. Bad options are refused before."""
    files = TrainingFiles(request.out)
    files.require_writable()
    is_first = int(os.environ.get("RANK", "0")) == 0
    reporter = Reporter(quiet=not is_first)
    training = prepare(reporter)
    from ..flynet.checkpoint import Metadata, save_checkpoint
    from ..flynet.training.distributed import process_group
    from ..flynet.training.precision import half_precision

    device = _device(request.hardware.device)
    if request.hardware.mixed_precision and half_precision(device) is None:
        reporter.line("", "--amp: this processor does not compute bfloat16 itself, so the training is in float32")
    with process_group(device), reporter.step("train") as step:
        start, resume = _interrupted_training(request, training) if request.resume else (training.start(), None)
        metadata = Metadata(training.config, {}, training.class_names, request.data)
        writer = _tensorboard(request.tensorboard) if is_first else None
        bar = _Bar(step, training.recipe.batch, 0 if resume is None else resume.epoch)
        kept = resume

        def on_epoch(model: nn.Module, state: TrainingState) -> None:
            nonlocal kept
            kept = state
            files.write_metrics(state.history)
            if state.epoch == 1 and set_aside(files.resume):
                reporter.line("", f"the interrupted training in {files.resume.name} is kept as {files.resume.name}.old")
            save_checkpoint(files.resume, model, metadata, {"options": _options(request), **state.as_dict()})
            bar.epoch = state.epoch + 1
            last = state.history[-1]
            reporter.line("", _epoch_line(state.epoch, last, state.steps))
            if writer is not None:
                for name, value in last.items():
                    writer.add_scalar(name, value, state.epoch)

        settings = TrainingSettings(
            training.recipe, request.seed, start, resume, device, request.hardware.mixed_precision, on_step=bar, on_epoch=on_epoch
        )
        try:
            model, metrics = training.train(settings)
        except KeyboardInterrupt as error:
            raise Interrupted(f"interrupted in epoch {bar.epoch}; {_kept(bar.epoch)}") from error
        except Diverged:
            raise
        except BadData as error:
            raise BadData(f"{error}; {_kept(bar.epoch)}" if bar.epoch > 1 else str(error)) from error
        if is_first:
            assert kept is not None
            save_checkpoint(request.out, model, replace(metadata, metrics=asdict(metrics)))
            better = _write_best(files.best, training, model, metadata, kept)
            files.resume.unlink(missing_ok=True)
            shares = f"{_shares(training, metrics)} of {training.held_out}"
            step.say(f"{training.config.name}, last epoch, {shares} -> {request.out}", *better)


def _write_best(file: Path, training: Training, model: nn.Module, metadata: Metadata, state: TrainingState) -> tuple[str, ...]:
    """The network of the best epoch in `file`, and a line about it; nothing where the last epoch is the best.

    An older training's, which would be taken for this one's, is set aside.
    """
    from ..flynet.checkpoint import save_checkpoint

    said = (f"the best epoch of an earlier training is kept as {file.name}.old",) if set_aside(file) else ()
    best = state.best
    if best.epoch == state.epoch:
        return said
    metrics = training.metrics(state.history[best.epoch - 1])
    chosen = copy.deepcopy(model)
    chosen.load_state_dict(best.weights)
    save_checkpoint(file, chosen, replace(metadata, metrics=asdict(metrics)))
    return (f"the best epoch, {best.epoch}, {_shares(training, metrics)} of the same -> {file}", *said)


def _shares(training: Training, metrics: object) -> str:
    return ", ".join(f"{label} {getattr(metrics, name):.2%}" for name, label in training.shown.items())


def check_in_first_process(checks: Sequence[Callable[[Callable[[int, int], None]], Oddities]], step: Step) -> tuple[str, ...]:
    """Look at the pictures before the training, in the first of several processes; a line about the odd ones, if any are."""
    if int(os.environ.get("RANK", "0")):
        return ()
    said = describe([check(lambda done, total: step.progress(done, total, "pictures looked at")) for check in checks])
    return (f"pictures: {said}",) if said else ()


def require_same(file: Path, found: NetworkConfig, asked: NetworkConfig, advice: str, but: Sequence[str] = ()) -> None:
    """UsageError with the first option in which a checkpoint's network is not the one to train."""
    given, wanted = config_to_dict(found), config_to_dict(asked)
    for key in {**wanted, **given}:
        if key not in but and given.get(key) != wanted.get(key):
            raise UsageError(f"{file} has {key} {given.get(key)}, the network to train {wanted.get(key)}; {advice}")


class _Bar:
    """Moves a step's bar; a training that goes on begins after `first` epochs."""

    def __init__(self, step: Step, batch: int, first: int):
        self.epoch = first + 1
        self._step, self._batch, self._first = step, batch, first
        self._began = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        self.epoch = progress.epoch
        done = (progress.epoch - 1) * progress.steps + progress.step
        here = done - self._first * progress.steps
        images_per_s = here * self._batch / max(1e-9, time.monotonic() - self._began)
        accuracy = "" if progress.accuracy is None else f"  {progress.accuracy:.1%}"
        text = f"loss {progress.loss:.3f}{accuracy}  {images_per_s:.0f} images/s"
        self._step.progress(done, progress.epochs * progress.steps, text)


def _epoch_line(epoch: int, figures: Mapping[str, float], steps: int) -> str:
    labels = {"train_accuracy": "training", "held_out_accuracy": "held out", "ap": "AP", "ap50": "AP50"}
    shares = "".join(f"{label} {figures[name]:.2%}  " for name, label in labels.items() if name in figures)
    skipped = int(figures["skipped_steps"])
    passed_over = f"  {skipped} of {steps} steps skipped: their gradients were not finite" if skipped else ""
    return f"epoch {epoch:>3}  loss {figures['loss']:.3f}  {shares}{figures['images_per_s']:.0f} images/s{passed_over}"


def _device(name: str) -> torch.device:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: this torch finds no GPU")
    chosen = "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(f"{chosen}:{os.environ.get('LOCAL_RANK', '0')}" if chosen == "cuda" else chosen)


def _interrupted_training(request: TrainingRequest, training: Training) -> tuple[nn.Module, TrainingState]:
    """The weights to begin with, and where an interrupted training goes on."""
    from ..flynet.checkpoint import load_interrupted
    from ..flynet.training.state import TrainingState

    file = TrainingFiles(request.out).resume
    if not file.is_file():
        state = "is finished" if request.out.is_file() else "was never begun"
        raise UsageError(f"nothing to resume: the training of {request.out} {state}")
    model, metadata, state_of_then = load_interrupted(file)
    require_same(file, metadata.config, training.config, "give the same options, or leave --resume out")
    if metadata.class_names != training.class_names:
        raise BadData(f"{file} was trained on other classes than {request.data} holds; give the same images")
    kept = dict(state_of_then)
    options = kept.pop("options", {})
    for option, value in _options(request).items():
        if options.get(option) != value:
            begun, now = (_as_given(option, given) for given in (options.get(option), value))
            raise UsageError(f"{file} was begun {begun}, not {now}; give the same options, or leave --resume out")
    return model, TrainingState.from_dict(kept)


def _options(request: TrainingRequest) -> dict[str, bool | float | str | None]:
    """What decides the weights besides network, recipe, seed and images: it must be the same when a training goes on."""
    teacher = request.teacher
    options: dict[str, bool | float | str | None] = {
        "--amp": request.hardware.mixed_precision,
        "--teacher": None if teacher is None else teacher.network,
    }
    if teacher is not None:
        options["--teacher-temperature"] = teacher.distillation.temperature
        options["--teacher-weight"] = teacher.distillation.alpha
    return options


def _as_given(option: str, value: bool | float | str | None) -> str:
    if value is None or value is False:
        return f"without {option}"
    return f"with {option}" if value is True else f"with {option} {value}"


def _tensorboard(folder: Path | None) -> Any:
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingTool("tensorboard", "pip install tensorboard") from error
    return SummaryWriter(str(folder))


def _kept(epoch: int) -> str:
    if epoch > 1:
        return "what was reached before it is kept: go on with the same command and --resume"
    return "no epoch was finished, nothing was kept"
