"""The command line: parse, call one function, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .errors import CANNOT_WRITE, NO_ROOM, FlynetError, Interrupted, OutputFailed, UnsupportedOperators
from .quoting import for_terminal, shorten, visible

if TYPE_CHECKING:
    from .deploy.network import NetworkRequest
    from .deploy.request import DeploymentRequest, SourceRequest
    from .flynet.data.pixels import Pixels
    from .learn.request import Hardware, RecipeRequest, TeacherRequest

_FILE_CHARACTERS = 200  # of a name in a message


def _print(text: str, nl: bool = True, err: bool = False) -> None:
    """Everything that a command prints, through the terminal's door."""
    click.echo(for_terminal(text), nl=nl, err=err)


class _Examples(click.Command):
    """A command whose help ends with examples, kept as they are written."""

    def __init__(self, *args: object, examples: str = "", **kwargs: object):
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self._examples:
            with formatter.section("Examples"):
                for line in self._examples.strip().splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="flynet-tiny")
def cli() -> None:
    """From a trained network to proven C on a microcontroller.

    Quantizes to int8, compiles to C, links it for the chip, proves every tensor equal in four runtimes and runs it on an
    emulated Cortex-M.

    Exit codes: 0 done; 1 a bug of ours; 2 usage; 3 bad or unsafe model or data; 4 unsupported operator; 5 over budget; 6 numbers
    differ; 7 a needed external tool is missing; 130 interrupted by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP, each with everything
    cleaned up.
    """


class _Folder(click.Path):
    """A folder's name. An empty one, as of a shell's variable that is not set, would be the working directory."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if not os.fspath(value):
            self.fail("the name is empty; '.' is the working directory", param, ctx)
        return super().convert(value, param, ctx)


class _Model(click.ParamType[str]):
    """A model's file, or FILE.py:FACTORY; what it is shows when it is opened."""

    name = "model"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("the name is empty", param, ctx)
        return str(value)


_Command = Callable[..., None]
_Option = Callable[[_Command], _Command]


def _as_one(name: str, make: Callable[..., object], options: Sequence[_Option]) -> _Option:
    """Options that reach a command as one argument, `name`: what `make` makes of their values."""

    def decorate(command: _Command) -> _Command:
        @wraps(command)
        def with_one(**given: Any) -> None:
            own = {key: given.pop(key) for key in names if key in given}  # some are one argument already
            command(**{name: make(**own)}, **given)

        decorated: _Command = with_one
        own_options = len(_parameters(decorated))
        for option in reversed(options):
            decorated = option(decorated)
        names = [str(parameter.name) for parameter in _parameters(decorated)[own_options:]]
        return decorated

    return decorate


def _parameters(command: _Command) -> list[click.Parameter]:
    """Those that click's decorators have given a function so far."""
    found: list[click.Parameter] = getattr(command, "__click_params__", [])
    return found


def _deployment_request(
    emit: str | None, out: Path | None, as_json: bool, no_emulate: bool, no_minimise: bool, **options: Any
) -> DeploymentRequest:
    """--emit prints one thing and stops: what else was asked for would silently not be there."""
    if emit is not None and (out is not None or as_json):
        raise click.UsageError(f"--emit {emit} prints that and writes no folder; leave out {'--json' if as_json else '--out'}")
    from .deploy.request import DeploymentRequest, Emit

    floor = None if emit is None else Emit(emit)
    return DeploymentRequest(out=out, as_json=as_json, emit=floor, emulate=not no_emulate, minimise=not no_minimise, **options)


def _source_request(
    calibration: Path | None,
    data: Path | None,
    pixels: Pixels | None,
    labels: Path | None,
    shapes: tuple[str, ...],
    weights: Path | None,
) -> SourceRequest:
    from .deploy.request import SourceRequest
    from .sources.preprocessing import Preprocessing
    from .sources.shapes import parse_shapes

    how = Preprocessing(pixels).with_labels_of(labels)
    return SourceRequest(calibration, data, how, parse_shapes(shapes), weights)


def _network_request(**options: Any) -> NetworkRequest:
    from .deploy.network import NetworkRequest

    return NetworkRequest(**options)


def _recipe_request(recipe: str | None, **options: Any) -> RecipeRequest:
    from .learn.request import RecipeRequest

    return RecipeRequest(recipe, **options)


def _teacher_request(teacher: str | None, teacher_temperature: float, teacher_weight: float) -> TeacherRequest | None:
    from .flynet.training.recipe import Distillation
    from .learn.request import TeacherRequest

    distillation = Distillation(teacher_temperature, teacher_weight)
    return None if teacher is None else TeacherRequest(teacher, distillation)


def _hardware(device: str, amp: bool, workers: int | None) -> Hardware:
    from .learn.request import Hardware

    return Hardware(device, amp, workers)


def _chosen_pixels(pixels: str | None, mean: str | None, std: str | None) -> Pixels | None:
    from .flynet.data.pixels import choose_pixels

    return choose_pixels(pixels, mean, std)


_EMIT = click.option(
    "--emit",
    type=click.Choice(["ir", "plan", "c"]),
    help="Print one floor of the compiler to standard output and stop: the graph, the memory plan or the C.",
)
_TARGET = click.option("--target", required=True, metavar="CHIP", help="Microcontroller; 'flynet-tiny targets' lists them.")
_OUT = click.option(
    "--out",
    type=_Folder(path_type=Path),
    metavar="DIR",
    help="Output folder; it appears whole or not at all, and replaces only what we wrote.",
)
_OPTIMIZE = click.option(
    "--optimize",
    type=click.Choice(["speed", "balanced", "size", "memory"]),
    default="balanced",
    show_default=True,
    help="What flash may be spent on: unrolled code and weights stored wider. speed spends RAM too, for fewer instructions; "
    "memory spends instructions for less RAM.",
)
_NAME_HELP = "Name of the C library: files, functions and macros begin with it."
_JSON = click.option("--json", "as_json", is_flag=True, help="Print report.json to standard output.")
_NO_EMULATE = click.option("--no-emulate", is_flag=True, help="Do not run the emulated board.")
_NO_MINIMISE = click.option(
    "--no-minimise",
    is_flag=True,
    help="Compile the graph as it came: keep channels that never change, and what nobody reads.",
)
_SEED = click.IntRange(0, 2**32 - 1)
_PIXELS = _as_one(
    "pixels",
    _chosen_pixels,
    (
        click.option(
            "--pixels",
            type=click.Choice(["imagenet", "unit", "signed", "raw"]),
            help="What a foreign model wants: by ImageNet's mean and deviation, 0 to 1, -1 to 1, 0 to 255.  "
            "[default: our training's]",
        ),
        click.option(
            "--mean", metavar="R,G,B", help="In place of --pixels: subtracted from pixels of 0 to 1; one value for grey."
        ),
        click.option("--std", metavar="R,G,B", help="With --mean: what the difference is divided by."),
    ),
)
_MODEL = click.option("--model", metavar="NAME", help="A network by name; 'flynet-tiny models' lists them.")
_NETWORK_HELP = "(with --checkpoint: the checkpoint's)"


def _deployment_options(named_for: str, seed_of: str) -> _Option:
    """What `export` and `compile` ask alike: how and where to deploy.

    named_for  what gives the C library its name;  seed_of  what the seed decides
    """
    name = click.option("--name", metavar="ID", help=f"{_NAME_HELP}  [default: {named_for}]")
    seed = click.option("--seed", type=_SEED, default=0, show_default=True, help=f"Seed of {seed_of}.")
    options = (_TARGET, _OUT, _OPTIMIZE, name, seed, _JSON, _EMIT, _NO_EMULATE, _NO_MINIMISE)
    return _as_one("deployment", _deployment_request, options)


_SHAPES = click.option(
    "--input",
    "shapes",
    multiple=True,
    metavar="1,C,H,W",
    help="Shape of the input, where the model leaves axes free; NAME=1,C,H,W for each of several.",
)
_WEIGHTS = click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE.pt",
    help="State dict of the module that FILE.py:FACTORY gives; read with weights_only, never run.",
)
_SOURCE = _as_one(
    "source",
    _source_request,
    (
        click.option(
            "--calibration",
            type=click.Path(path_type=Path),
            metavar="DIR|FILE.npz|FILE.npy",
            help="Inputs as the network will see them, which set the int8 ranges of a float one: a folder of pictures (512 of "
            "it, taken evenly), an .npz with an array for each input by its name, or an .npy. uint8 arrays are pictures, "
            "all others are taken as they are.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            metavar="DIR|FILE.npz",
            help="Labelled inputs for the accuracy, float and int8: DIR/CLASS/picture (its 'val', where it has one; 512 of it, "
            "taken evenly), or an .npz with the array 'labels'.",
        ),
        _PIXELS,
        click.option(
            "--labels",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The classes' names in the order of the scores, one a line.",
        ),
        _SHAPES,
        _WEIGHTS,
    ),
)


_NETWORK = _as_one(
    "network",
    _network_request,
    (
        _MODEL,
        click.option(
            "--width", type=float, metavar="X", help=f"Width multiplier, 0.3 to 1.0 in the paper.  [default: 0.4] {_NETWORK_HELP}"
        ),
        click.option(
            "--heads", type=int, metavar="N", help=f"Heads of the depthwise convolutions, 1 to 5.  [default: 3] {_NETWORK_HELP}"
        ),
        click.option("--resolution", type=int, metavar="PX", help=f"Side of the input image.  [default: 224] {_NETWORK_HELP}"),
        click.option("--classes", type=int, metavar="N", help=f"Number of classes.  [default: 1000] {_NETWORK_HELP}"),
        click.option("--channels", type=int, metavar="N", help=f"1 (grey) or 3 (colour).  [default: 3] {_NETWORK_HELP}"),
        click.option(
            "--checkpoint", type=click.Path(path_type=Path), metavar="FILE", help="A checkpoint of 'flynet-tiny train'."
        ),
        click.option("--backbone", is_flag=True, help="Only the maps at strides 4 to 32, for a detector: four outputs."),
        click.option(
            "--calibration",
            default="photos",
            show_default=True,
            metavar="DIR|digits|photos",
            help="Images that set the int8 ranges: a folder, scikit-learn's digits, or 64 crops of its two sample photos.",
        ),
        click.option(
            "--qat-epochs",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            metavar="N",
            help="Fine-tune a checkpoint with int8 in the loop, on the labelled training images of --calibration.",
        ),
        click.option(
            "--distillation",
            type=click.FloatRange(0, 1),
            default=0.5,
            show_default=True,
            help="With --qat-epochs: the share of the loss that follows the float network.",
        ),
    ),
)


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny export --width 0.4 --target stm32f412
    flynet-tiny export --width 0.5 --target stm32h743 --optimize speed --name net --out out/h743
    flynet-tiny export --model flynet-h3-0.5x-mixer-funnel --resolution 96 --target stm32f412
    flynet-tiny export --checkpoint digits.pt --calibration digits --target stm32f412
    flynet-tiny export --checkpoint digits.pt --calibration digits --qat-epochs 3 --target stm32f412
    flynet-tiny export --backbone --width 0.4 --resolution 96 --target stm32f412
    flynet-tiny export --width 0.4 --target stm32f412 --emit plan
    """,
)
@_NETWORK
@_deployment_options("the network's, flynet_h3_0_4x", "untrained weights, crops and test inputs")
def export(network: NetworkRequest, deployment: DeploymentRequest) -> None:
    """Take a FlyNet to proven C on a microcontroller, in one go.

    Without --checkpoint the paper's network is taken with seeded weights and reported as UNTRAINED: its sizes, instruction
    counts and exactness are true, its accuracy is chance.
    """
    from .api.commands import export_network

    _print(export_network(replace(network, seed=deployment.seed), deployment), nl=False)


@cli.command(
    name="compile",
    cls=_Examples,
    examples="""
    flynet-tiny compile person_detect.tflite --target stm32f412 --out out/person
    flynet-tiny compile model.onnx --calibration pictures/ --pixels imagenet --labels names.txt --target stm32h743
    flynet-tiny compile model.onnx --input 1,3,96,96 --calibration pictures/ --data held_out/ --target stm32h743
    flynet-tiny compile sensors.onnx --calibration windows.npz --data labelled.npz --target stm32f412
    flynet-tiny compile nets.py:make_net --weights net.pt --input 1,3,96,96 --calibration pictures/ --target stm32f412
    flynet-tiny compile model.tflite --target stm32f405 --name keyword --optimize size --no-emulate --json
    flynet-tiny compile model.tflite --target stm32f405 --emit ir
    """,
)
@click.argument("model", type=_Model(), metavar="MODEL")
@_SOURCE
@_deployment_options("the model's", "the test inputs")
def compile_command(model: str, source: SourceRequest, deployment: DeploymentRequest) -> None:
    """Compile a model of any kind to proven C.

    MODEL is an int8 .tflite, which is taken as it is; a float .onnx (opset 11 to 22); or FILE.py:FACTORY, a function that gives a
    torch.nn.Module. A float network is quantized with the inputs of --calibration. Its batch becomes 1; weights in files beside
    an .onnx are read from its own folder only.

    Code is run from FILE.py alone. A .pt is read as weights (weights_only), never as code, and an .onnx or .tflite holds none.

    'flynet-tiny check MODEL' says in seconds whether a model compiles; 'flynet-tiny ops' lists the operators and their rules.
    """
    from .api.commands import compile_model

    _print(compile_model(model, deployment, source), nl=False)


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny check model.onnx
    flynet-tiny check model.onnx --input 1,3,96,96 --target stm32f412
    flynet-tiny check nets.py:make_net --input 1,3,96,96
    flynet-tiny check model.tflite --json
    """,
)
@click.argument("model", type=_Model(), metavar="MODEL")
@_SHAPES
@_WEIGHTS
@click.option("--target", metavar="CHIP", help="Also refuse what the chip's memories can never hold.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@click.pass_context
def check(
    context: click.Context, model: str, shapes: tuple[str, ...], weights: Path | None, target: str | None, as_json: bool
) -> None:
    """Say in seconds what a model is, and everything that stops it, without data.

    MODEL is as for 'compile'. Each operator that has no way into int8 is named with its place, the reason and, where there is
    one, the nearest form that works. Ends with 0 when nothing stops it, else with 4.
    """
    from .api.checking import check_file
    from .sources.shapes import parse_shapes

    found = check_file(model, parse_shapes(shapes), weights, target)
    _print(found.to_json() if as_json else str(found), nl=False)
    if not found.compiles:
        context.exit(UnsupportedOperators.exit_code)


_TRAINED_NETWORK = _as_one(
    "network",
    _network_request,
    (
        _MODEL,
        click.option("--width", type=float, help="Width multiplier.  [default: 0.4]"),
        click.option("--heads", type=int, help="Heads of the depthwise convolutions.  [default: 3]"),
        click.option("--resolution", type=int, default=32, show_default=True, help="Side of the input image."),
        click.option("--channels", type=int, default=3, show_default=True, help="1 (grey) or 3 (colour)."),
    ),
)
_RECIPE = _as_one(
    "recipe",
    _recipe_request,
    (
        click.option(
            "--recipe",
            type=click.Choice(["paper", "small"]),
            help="The paper's (SGD, 150 epochs; detectors 26), or one for few images.  "
            "[default: small for digits and below 2000 COCO pictures, else paper]",
        ),
        click.option("--epochs", type=int, help="Passes over the data.  [default: the recipe's]"),
        click.option("--batch", type=int, help="Images in a step, over all processes.  [default: the recipe's]"),
        click.option("--lr", "learning_rate", type=float, help="Highest learning rate.  [default: the recipe's]"),
    ),
)
_TEACHER = _as_one(
    "teacher",
    _teacher_request,
    (
        click.option("--teacher", metavar="FILE|torchvision:NAME", help="Learn from this network's logits too."),
        click.option(
            "--teacher-temperature",
            type=click.FloatRange(0, min_open=True),
            default=4.0,
            show_default=True,
            help="How soft its logits are made.",
        ),
        click.option(
            "--teacher-weight", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Its share of the loss."
        ),
    ),
)
_HARDWARE = _as_one(
    "hardware",
    _hardware,
    (
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option(
            "--amp", is_flag=True, help="Mixed precision: float16 on a GPU, bfloat16 on a processor that has it; else float32."
        ),
        click.option(
            "--workers", type=click.IntRange(1, 256), help="Threads that decode pictures.  [default: one a core, 16 at most]"
        ),
    ),
)


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny train --data digits --width 0.4 --resolution 32 --out digits.pt
    flynet-tiny train --data pictures/ --resolution 96 --recipe small --epochs 30 --out mine.pt
    flynet-tiny train --data imagenet/ --model flynet-h3-0.5x --resolution 224 --out imagenet.pt --resume
    flynet-tiny train --data pictures/ --teacher large.pt --amp --batch 64 --lr 0.001 --out small.pt
    flynet-tiny train --data coco:/data/coco --width 0.4 --resolution 320 --start imagenet.pt --out detector.pt
    """,
)
@click.option(
    "--data",
    required=True,
    metavar="DIR|digits|coco:DIR",
    help="scikit-learn's digits, DIR/train/CLASS/picture and DIR/val/CLASS/picture, or COCO's layout for a detector.",
)
@_TRAINED_NETWORK
@_RECIPE
@click.option(
    "--start",
    "--start-from",  # torchrun takes `--start` for its own `--start-method`
    "start",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Begin with a checkpoint's weights (or its backbone's); under torchrun say --start-from.",
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted training of --out was stopped.")
@_TEACHER
@_HARDWARE
@click.option("--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Write the metrics there too.")
@click.option("--seed", type=_SEED, default=0, show_default=True, help="Seed of weights, order and augmentation.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The checkpoint to write.")
def train(data: str, network: NetworkRequest, out: Path, seed: int, **options: Any) -> None:
    """Train a network, and write a checkpoint for 'export'; beside it the metrics (.jsonl) and the learning curve (.svg).

    FILE is the network after the last epoch. Where an earlier one scored higher on the held-out images, it is written as
    STEM.best.pt. After each epoch everything is kept in FILE.resume, so that a killed run loses one epoch at most. Over several
    processes: torchrun --nproc-per-node 2 -m flynet_tiny.cli train ...
    """
    from .learn.request import TrainingRequest
    from .learn.training import train_network

    train_network(TrainingRequest(data, replace(network, seed=seed), out, seed=seed, **options))


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny evaluate digits.pt --data digits
    flynet-tiny evaluate model.tflite --data pictures/ --limit 500 --out out/accuracy
    flynet-tiny evaluate mobilenet.tflite --data imagenet/ --pixels signed
    flynet-tiny evaluate foreign.onnx --data imagenet/ --mean 0.481,0.458,0.408 --std 0.269,0.261,0.276
    flynet-tiny evaluate flynet-h3-0.4x-stm32f412 --data digits --runtime emulated --limit 50
    """,
)
@click.argument("model", type=click.Path(path_type=Path), metavar="FILE|FOLDER")
@click.option(
    "--data", required=True, metavar="DIR|digits", help="Labelled images: DIR/class/picture, DIR/val, or the held-out digits."
)
@click.option(
    "--runtime",
    type=click.Choice(["host", "emulated"]),
    help="Where an output folder's generated C runs.  [default: host]",
)
@_PIXELS
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only N images, taken evenly.  [default: all]")
@click.option(
    "--out",
    type=_Folder(path_type=Path),
    metavar="DIR",
    help="Write evaluation.json and confusion.svg there; replaces only what we wrote.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def evaluate(
    model: Path, data: str, runtime: str | None, pixels: Pixels | None, limit: int | None, out: Path | None, as_json: bool
) -> None:
    """Measure the accuracy of a checkpoint, an .onnx, a .tflite (LiteRT's reference kernels) or an output folder's C.

    Pictures are resized, cropped and normalised as in our training; say with --pixels, or --mean and --std, what a foreign model
    wants, else it scores too low.
    """
    from .learn.evaluating import EvaluationRequest, evaluate_model

    request = EvaluationRequest(model, data, runtime=runtime, pixels=pixels, limit=limit, out=out, as_json=as_json)
    _print(evaluate_model(request), nl=False)


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny verify flynet-h3-0.4x-stm32f412
    flynet-tiny verify out/person --inputs 100 --seed 7
    """,
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--inputs",
    "count",
    type=click.IntRange(1, 10_000),
    default=16,
    show_default=True,
    help="Images or noise inputs, beside the extremes.",
)
@click.option("--seed", type=_SEED, default=1, show_default=True, help="Seed of the inputs.")
@_NO_EMULATE
def verify(folder: Path, count: int, seed: int, no_emulate: bool) -> None:
    """Prove what an output folder holds, on fresh inputs, in all four runtimes.

    Its files are compared with manifest.json, its own C is compiled and run on the host, its own golden.onnx and ELFs are run.
    Ends with 6 when a number differs, and with 3 when only a file does; both name it.
    """
    from .deploy.verify_folder import verify_folder

    _print(verify_folder(folder, count, seed, emulate=not no_emulate), nl=False)


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny emulate flynet-h3-0.4x-stm32f412
    flynet-tiny emulate flynet-h3-0.4x-stm32f412 --input cat.jpg --top 3
    flynet-tiny emulate mobilenet-stm32h743 --input cat.jpg --pixels signed
    """,
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "picture",
    type=click.Path(path_type=Path),
    metavar="PICTURE|FILE.npy",
    help="A picture, or an int8 array.  [default: noise]",
)
@_PIXELS
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many outputs to print.")
def emulate(folder: Path, picture: Path | None, pixels: Pixels | None, top: int) -> None:
    """Run the firmware of an output folder on the emulated board, on one input.

    A picture is resized, cropped and normalised as in our training; say with --pixels, or --mean and --std, what a foreign
    model wants.
    """
    from .deploy.emulate_folder import emulate_folder

    _print(emulate_folder(folder, picture, top, pixels), nl=False)


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny report flynet-h3-0.4x-stm32f412
    flynet-tiny report flynet-h3-0.4x-stm32f412 --json
    """,
)
@click.argument("folder", type=click.Path(path_type=Path))
@_JSON
def report(folder: Path, as_json: bool) -> None:
    """Print the verdict of an output folder."""
    from .api.commands import print_report

    _print(print_report(folder, as_json), nl=False)


@cli.command(cls=_Examples, examples="flynet-tiny targets --json")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def targets(as_json: bool) -> None:
    """List the microcontrollers with their memories."""
    from .tables.targets import targets_table

    _print(targets_table(as_json), nl=False)


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny models --json
    flynet-tiny models --measure --only flynet-h3-0.4x
    """,
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option("--measure", is_flag=True, help="Compile and link them first, and keep their flash and SRAM (20 to 60 s each).")
@click.option("--only", metavar="NAME", multiple=True, help="With --measure: this network; may be repeated.  [default: all]")
def models(as_json: bool, measure: bool, only: tuple[str, ...]) -> None:
    """List the networks that --model names, with their counts and sizes beside the paper's figures."""
    from .tables.measured_sizes import measure_models
    from .tables.models import models_table

    if only and not measure:
        raise click.UsageError("--only goes with --measure")
    if measure:
        _print(measure_models(only), nl=False, err=True)
    _print(models_table(as_json), nl=False)


@cli.command(
    cls=_Examples,
    examples="""
    flynet-tiny bench --target stm32f412 --layers-only
    flynet-tiny bench --target stm32h743 --model person_detect.tflite
    flynet-tiny bench --models mlperf-tiny/
    flynet-tiny bench --target stm32f412 --out build/bench
    """,
)
@click.option("--target", default="stm32f412", show_default=True, metavar="CHIP", help="Microcontroller whose core is emulated.")
@click.option("--model", type=click.Path(path_type=Path), metavar="FILE.tflite", help="Measure this model only.")
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Measure every .tflite of a folder; public files are known by their sha256 and stand beside the peers' figures.",
)
@click.option("--layers-only", is_flag=True, help="Leave out the whole networks.")
@click.option("--out", type=_Folder(path_type=Path), metavar="DIR", help="Write bench.json and the bar chart bench.svg there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def bench(target: str, model: Path | None, models: Path | None, layers_only: bool, out: Path | None, as_json: bool) -> None:
    """Count emulated instructions of the peers' layers and of whole networks, beside the peers' figures.

    The counts are exact to the instruction and the same on every run; they are not cycles.
    """
    if sum((model is not None, models is not None, layers_only)) > 1:
        raise click.UsageError("--model, --models and --layers-only exclude each other")
    from .bench.command import BenchRequest, run_bench

    request = BenchRequest(target, model=model, models=models, layers_only=layers_only, out=out, as_json=as_json)
    _print(run_bench(request), nl=False)


@cli.command(cls=_Examples, examples="flynet-tiny ops")
def ops() -> None:
    """List the supported TFLite operators and their rules."""
    from .codegen.supported_ops import as_markdown

    _print(as_markdown(), nl=False)


def main(arguments: list[str] | None = None) -> None:
    """The console script: our errors and click's become one line and their exit code; anything else is a bug (exit 1)."""
    from .processes import interruption

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of torch spin otherwise
    interruption.install()
    try:
        code = cli.main(args=arguments, prog_name="flynet-tiny", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        _print(error.format_message(), err=True)
        code = error.exit_code
    except click.ClickException as error:
        code = _fail(error.format_message(), error.exit_code)
    except FlynetError as error:
        code = _fail(str(error), interruption.exit_code() if isinstance(error, Interrupted) else error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        if isinstance(error.__cause__, EOFError):  # click takes it for Ctrl-D at a prompt; we have none
            raise error.__cause__ from None
        code = _fail("interrupted; nothing was left half-written", interruption.exit_code())
    except (ImportError, SystemError):  # what a C extension makes of an interruption while it is loaded
        if not interruption.is_received():
            raise
        code = _fail("interrupted; nothing was left half-written", interruption.exit_code())
    except OSError as error:
        is_full = error.errno in NO_ROOM
        if not is_full and not (error.errno in CANNOT_WRITE and error.filename):
            raise  # nothing that a user's place or name explains
        file = shorten(visible(os.fsdecode(error.filename)), _FILE_CHARACTERS) if error.filename else "a file"
        code = _fail(f"cannot {'write' if is_full else 'use'} {file}: {error.strerror}", OutputFailed.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, exit_code: int) -> int:
    line = " ".join(message.split())
    click.echo(f"{click.style('error', fg='red', bold=True)}: {for_terminal(line)}", err=True)
    return exit_code


if __name__ == "__main__":
    main()
