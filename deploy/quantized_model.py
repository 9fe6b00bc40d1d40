"""A quantized model, wherever it came from, with the images to try it on; and the plan of its deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..codegen.build import LEVELS, Build, build_for
from ..codegen.targets import Target
from ..flynet.data.pixels import Pixels
from ..report.schema import FineTuning, LayerSqnr, NotDone

if TYPE_CHECKING:
    from ..export.float_graph import FloatTensor

Stored = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class LabelledInputs:
    """Held-out int8 inputs [N, H, W, C] by the names of the graph's, with their labels, and what the float network makes of them.

    float_accuracy  None without a float network
    """

    inputs: Mapping[str, Stored]
    labels: npt.NDArray[np.int64]
    float_accuracy: float | None


@dataclass(frozen=True, eq=False)
class FloatEnds:
    """Inputs and outputs of a float network as the int8 network's tensors hold them."""

    inputs: tuple[FloatTensor, ...]
    outputs: tuple[FloatTensor, ...]


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """A quantized model to be compiled, proven and reported.

    name         C identifier of the library;  title  what the report calls the network
    real_inputs  [N, ...] int8, what each input of the graph sees in use (photos, digits); None: made once the network is known
                 to fit; inputs that it lacks get noise
    params       float parameters, or for a foreign file its weights and biases
    class_names  in the order of the scores; empty where they are not known
    pixels       how pictures are normalised; None where that is not known
    float_ends   how the float network's inputs and outputs lie in the int8 one's; None for a model that came as int8
    """

    name: str
    title: str
    tflite: bytes
    real_inputs: Mapping[str, Stored] | None
    trained: bool | None
    params: int | None = None
    onnx: bytes | None = None
    labelled: LabelledInputs | None = None
    sqnr: tuple[LayerSqnr, ...] | NotDone = field(default_factory=lambda: NotDone("no float network to compare with"))
    accuracy_not_done: str = "no labelled images"
    fine_tuning: FineTuning | None = None
    class_names: tuple[str, ...] = ()
    pixels: Pixels | None = None
    float_ends: FloatEnds | None = None


@dataclass(frozen=True)
class DeploymentPlan:
    """The chip, whether to run the emulated board, the seed of the test inputs, and how much flash speed may cost.

    minimise  whether what is computed for nothing is removed
    """

    target: Target
    emulate: bool
    seed: int = 0
    optimize: str = "balanced"
    minimise: bool = True

    @property
    def build(self) -> Build:
        return build_for(self.target, LEVELS[self.optimize], self.minimise)
