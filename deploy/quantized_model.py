"""A quantized model, wherever it came from, with the images to try it on; and the plan of its deployment."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..codegen.build import LEVELS, Build, build_for
from ..codegen.targets import Target
from ..report.schema import FineTuning, LayerSqnr, NotDone

Stored = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class LabelledInputs:
    """Held-out images as int8 inputs [N, H, W, C] with their labels, and what the float network makes of them."""

    inputs: Stored
    labels: npt.NDArray[np.int64]
    float_accuracy: float


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """A quantized model to be compiled, proven and reported.

    name         C identifier of the library;  title  what the report calls the network
    real_inputs  [N, ...] int8, what the first input sees in use (photos, digits); None: made once the network is known to fit
    params       float parameters, or for a foreign file its weights and biases
    class_names  in the order of the scores; empty where they are not known
    """

    name: str
    title: str
    tflite: bytes
    real_inputs: Stored | None
    trained: bool | None
    params: int | None = None
    onnx: bytes | None = None
    labelled: LabelledInputs | None = None
    sqnr: tuple[LayerSqnr, ...] | NotDone = field(default_factory=lambda: NotDone("no float network to compare with"))
    accuracy_not_done: str = "no labelled images"
    fine_tuning: FineTuning | None = None
    class_names: tuple[str, ...] = ()


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
