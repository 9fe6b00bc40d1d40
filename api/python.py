"""The functions of `import flynet_tiny as ft`; they take the road of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..codegen.targets import Target, list_targets
from ..deploy.console import Reporter
from ..deploy.request import DeploymentRequest, SourceRequest
from ..errors import UsageError
from ..flynet.data.pixels import Pixels
from ..sources.float_source import FloatSource, of_module
from ..sources.preprocessing import Preprocessing
from .arrays import samples_of
from .checking import Check, check_file, check_source
from .compiling import Model, deploy, prepare
from .compiling import quantize as quantize_model
from .deployment import Deployment

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]


class Normalize(Pixels):
    """How pictures are normalised: (value from 0 to 1 - mean) / std; a number, or one each for red, green and blue.

    >>> Normalize(0.5, (0.5, 0.25, 0.5)).mean
    (0.5,)
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]):
        super().__init__(_tuple(mean), _tuple(std))


def compile(
    model: nn.Module | str | Path,
    *,
    target: str,
    example_inputs: Sequence[Any] | None = None,
    calibration: Any = None,
    data: Any = None,
    preprocess: Pixels | None = None,
    labels: Sequence[str] = (),
    input_shapes: Mapping[str, Shape] | Shape | None = None,
    weights: Path | str | None = None,
    name: str | None = None,
    out: Path | str | None = None,
    optimize: str = "balanced",
    emulate: bool = True,
    minimise: bool = True,
    seed: int = 0,
    quiet: bool = True,
) -> Deployment:
    """Quantize, compile, link, prove and measure a network for a microcontroller, as `flynet-tiny compile` does.

    model           a module in memory, a `.tflite` (int8), an `.onnx` (float), or "nets.py:make_net" with `weights`
    target          the chip's name; `targets` lists them
    example_inputs  arrays or tensors that the module is called with, a batch of 1
    calibration     inputs as the network will see them, which set the int8 ranges of a float network: arrays [N, ...], one for
                    each input in a tuple or by name in a mapping; a loader of batches (labels are left out); or a path
    data            the same with labels for the accuracy: (x, labels), a loader, or a path
    preprocess      how pictures are normalised; uint8 arrays and picture files are, other arrays are taken as they are
    labels          the classes' names in the order of the scores
    input_shapes    of a file with free axes
    out             the folder to write; None: `Deployment.save` writes it
    emulate         whether the firmware runs on the emulated board
    A network that does not fit gives a deployment all the same: `fits` is False, and `report.over_budget` says why.
    Raises what `flynet_tiny.errors` names; for a mistake of the user's a `FlynetError` with one line.

    >>> import numpy as np, torch
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
    >>> x = np.random.default_rng(0).normal(size=(32, 1, 8, 8)).astype(np.float32)
    >>> deployed = compile(net, example_inputs=(x[:1],), calibration=x, target="stm32f412", emulate=False)
    >>> deployed.fits, deployed.flash < 20_000, deployed.ram < 5_000
    (True, True, True)
    >>> [pair.differing for pair in deployed.report.verification]
    [0, 0]
    >>> deployed.run(x[:5]).shape
    (5, 3)
    >>> bool(abs(deployed.run(x) - net(torch.from_numpy(x)).detach().numpy()).max() < 0.1)
    True
    """
    request = DeploymentRequest(
        target, None if out is None else Path(out), optimize, name, seed, emulate=emulate, minimise=minimise
    )
    plan = request.plan()
    how = Preprocessing(preprocess, tuple(labels))
    asked = _model(model, example_inputs, calibration, data, how, input_shapes, weights)
    prepare(plan, request.out)
    reporter = Reporter(quiet)
    return deploy(quantize_model(asked, reporter, name, plan), plan, request.out, reporter)


def quantize(
    model: nn.Module | str | Path,
    *,
    calibration: Any,
    example_inputs: Sequence[Any] | None = None,
    preprocess: Pixels | None = None,
    input_shapes: Mapping[str, Shape] | Shape | None = None,
    weights: Path | str | None = None,
) -> bytes:
    """The int8 `.tflite` of a float network, which any runtime of TensorFlow Lite runs; the arguments are those of `compile`.

    >>> import numpy as np, torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU())
    >>> x = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    >>> quantize(net, example_inputs=(x[:1],), calibration=x)[4:8]
    b'TFL3'
    """
    asked = _model(model, example_inputs, calibration, None, Preprocessing(preprocess), input_shapes, weights)
    return quantize_model(asked, Reporter(quiet=True)).tflite


def check(
    model: nn.Module | str | Path,
    *,
    example_inputs: Sequence[Any] | None = None,
    input_shapes: Mapping[str, Shape] | Shape | None = None,
    weights: Path | str | None = None,
    target: str | None = None,
) -> Check:
    """What a model is, and everything that stops it from being compiled, without data.

    >>> import torch
    >>> found = check(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()), example_inputs=(torch.zeros(1, 3, 8, 8),))
    >>> found.compiles, found.parameters, found.macs, dict(found.operators)
    (True, 224, 7776, {'Conv': 1, 'Relu': 1})
    """
    if isinstance(model, str | Path):
        return check_file(str(model), _shapes(input_shapes), None if weights is None else Path(weights), target)
    return check_source(_of_module(model, example_inputs), type(model).__name__)


def targets() -> tuple[Target, ...]:
    """The microcontrollers, with their cores and memories.

    >>> next(target.core.value for target in targets() if target.name == "stm32f412")
    'cortex-m4'
    """
    return tuple(list_targets())


def _model(
    model: nn.Module | str | Path,
    example_inputs: Sequence[Any] | None,
    calibration: Any,
    data: Any,
    how: Preprocessing,
    input_shapes: Mapping[str, Shape] | Shape | None,
    weights: Path | str | None,
) -> Model:
    """The model with all that is said of it."""
    if isinstance(model, str | Path):
        if example_inputs is not None:
            raise UsageError("example_inputs go with a module; say a file's free axes with input_shapes")
        given = SourceRequest(
            calibration=None if calibration is None else Path(),
            how=how,
            shapes=_shapes(input_shapes),
            weights=None if weights is None else Path(weights),
        )
        asked = Model.asked(str(model), given)
    else:
        if input_shapes is not None or weights is not None:
            raise UsageError("input_shapes and weights go with a file; a module has its weights, and example_inputs shapes")
        title = type(model).__name__.lower()
        asked = Model(title, title, None, lambda: _of_module(model, example_inputs), how=how)
    return asked.with_data(
        None if calibration is None else lambda shapes: samples_of(calibration, shapes, how, "train", with_labels=False),
        None if data is None else lambda shapes: samples_of(data, shapes, how, "val", with_labels=True),
    )


def _of_module(module: Any, example_inputs: Sequence[Any] | None) -> FloatSource:
    """A module, called with the examples' first of each batch."""
    from ..sources.extras import require_torch

    require_torch()
    import torch

    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"a model is a path or a torch.nn.Module, not {type(module).__name__}")
    if not isinstance(example_inputs, tuple | list) or not example_inputs:
        raise UsageError("give example_inputs, a tuple with what the module is called with: (torch.zeros(1, 3, 96, 96),)")
    examples = [torch.as_tensor(example)[:1].detach().to(torch.float32).cpu() for example in example_inputs]
    return of_module(module, examples, type(module).__name__.lower())


def _shapes(given: Mapping[str, Shape] | Shape | None) -> dict[str, Shape]:
    if given is None:
        return {}
    return dict(given) if isinstance(given, Mapping) else {"": tuple(given)}


def _tuple(values: float | Sequence[float]) -> tuple[float, ...]:
    return (float(values),) if isinstance(values, int | float) else tuple(float(value) for value in values)
