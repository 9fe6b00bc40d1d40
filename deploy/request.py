"""What the user asked for of a deployment: `export` and `compile` take the same options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ..codegen.targets import get_target
from ..sources.preprocessing import Preprocessing
from .quantized_model import DeploymentPlan


class Emit(Enum):
    """A floor of the compiler that is printed in place of a folder."""

    IR = "ir"
    PLAN = "plan"
    C = "c"


@dataclass(frozen=True)
class DeploymentRequest:
    """The options as they were given.

    target  name of the chip
    out     the output folder; None: named for the network and the chip
    name    of the C library; None: the network's or the file's
    emit    print this and write no folder
    seed    of the test inputs
    minimise  whether what is computed for nothing is removed
    """

    target: str
    out: Path | None = None
    optimize: str = "balanced"
    name: str | None = None
    seed: int = 0
    as_json: bool = False
    emit: Emit | None = None
    emulate: bool = True
    minimise: bool = True

    def plan(self) -> DeploymentPlan:
        """The chip and how to deploy to it; `UnknownTarget` for a chip that we do not know."""
        return DeploymentPlan(get_target(self.target), self.emulate, self.seed, self.optimize, self.minimise)


@dataclass(frozen=True)
class SourceRequest:
    """What the user says of a network from elsewhere.

    calibration  a folder of pictures, a `.npz` or a `.npy`: inputs that set the int8 ranges of a float network
    data         the same with labels: inputs on which the accuracy is measured
    shapes       of inputs with free axes, by name;  weights  of a module that a factory makes
    """

    calibration: Path | None = None
    data: Path | None = None
    how: Preprocessing = field(default_factory=Preprocessing)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weights: Path | None = None
