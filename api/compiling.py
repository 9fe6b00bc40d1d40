"""From a model of any kind to its deployment: the one road of the command line and of Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..codegen.compiler import require_possible
from ..codegen.minimise.minimise import minimise
from ..codegen.schedule.least_memory import require_flash_for_weights
from ..deploy.library_name import given_library_name, library_name
from ..deploy.model_file import open_tflite
from ..deploy.quantized_model import DeploymentPlan, QuantizedModel
from ..deploy.request import SourceRequest
from ..errors import UsageError
from ..folders.manifest import Kind
from ..folders.output_folder import output_folder, require_replaceable
from ..folders.scratch import ScratchFolder
from ..quoting import visible
from ..sources.float_source import FloatSource, is_float, open_float, require_known_kind, split_factory
from ..sources.preprocessing import Preprocessing
from ..sources.sample_files import read_samples
from .deployment import Deployment

if TYPE_CHECKING:
    from ..deploy.console import Reporter
    from ..deploy.foreign import MakeSamples

NOTHING_SAID = SourceRequest()


@dataclass(frozen=True, eq=False)
class Model:
    """A model and what is said of it, however it was said.

    title        what reports call it;  shown  what the user called it
    tflite       the file of an int8 model; None for a float one
    open         loads a float network
    calibration  inputs that set the int8 ranges;  held_out  labelled ones; both made for the shapes of the network's inputs
    """

    title: str
    shown: str
    tflite: Path | None
    open: Callable[[], FloatSource] | None
    calibration: MakeSamples | None = None
    held_out: MakeSamples | None = None
    how: Preprocessing = field(default_factory=Preprocessing)

    def with_data(self, calibration: MakeSamples | None, held_out: MakeSamples | None) -> Model:
        """With inputs that are given otherwise than by a path."""
        return replace(self, calibration=calibration, held_out=held_out)

    @property
    def is_int8(self) -> bool:
        return self.tflite is not None

    @staticmethod
    def asked(model: str, given: SourceRequest) -> Model:
        """What a path, or `FILE.py:FACTORY`, and the options of the command line ask for."""
        require_known_kind(model)
        calibration, data, how = given.calibration, given.data, given.how
        made = Model(
            title=_title(model),
            shown=visible(Path(model).name),
            tflite=None,
            open=None,
            calibration=None if calibration is None else lambda shapes: read_samples(calibration, shapes, how, "train"),
            held_out=None if data is None else lambda shapes: read_samples(data, shapes, how, "val"),
            how=how,
        )
        if is_float(model):
            return replace(made, open=lambda: open_float(model, given.shapes, given.weights))
        for option, value in (("--calibration", calibration), ("--input", given.shapes), ("--weights", given.weights)):
            if value:
                raise UsageError(f"{option} is for float networks; {visible(model)} is taken as an int8 .tflite")
        return replace(made, tflite=Path(model))


def quantize(
    model: Model, reporter: Reporter | None, name: str | None = None, plan: DeploymentPlan | None = None, emits: bool = False
) -> QuantizedModel:
    """The int8 model: made of a float one, or as its file has it.

    name  of the C library; None: made of the title
    plan  where it is to be deployed: an int8 file that cannot fit is refused at once, where more than C is asked for (`emits`)
    """
    library = library_name(model.title) if name is None else given_library_name(name)
    if model.tflite is None:
        from ..deploy.foreign import quantize_source

        assert model.open is not None
        assert reporter is not None
        quantized = quantize_source(model.open(), model.calibration, model.held_out, model.how, reporter)
        return replace(quantized, name=library, title=model.title)
    data, graph = open_tflite(model.tflite, library)
    if plan is not None:
        require_possible(graph, plan.target.name)
    if plan is not None and not emits:
        require_flash_for_weights(minimise(graph).graph if plan.minimise else graph, plan.target.name)
    from ..deploy.foreign import int8_model

    return replace(int8_model(data, graph, model.title, model.held_out, model.how), name=library)


def prepare(plan: DeploymentPlan, out: Path | None) -> None:
    """Fail before any work when a program is missing or the output folder is taken."""
    from ..deploy.pipeline import require_deployment_tools

    require_deployment_tools(plan)
    if out is not None:
        require_replaceable(out, Kind.NETWORK)


def deploy(model: QuantizedModel, plan: DeploymentPlan, out: Path | None, reporter: Reporter) -> Deployment:
    """Compile, link, prove and report; in the folder `out`, which appears whole or not at all, or in a passing one."""
    from ..deploy.pipeline import deploy_model

    if out is None:
        scratch = ScratchFolder()
        deployed = deploy_model(model, plan, scratch.path, reporter)
        return Deployment(model, plan, deployed, scratch.path, scratch)
    with output_folder(out, Kind.NETWORK) as folder:
        deployed = deploy_model(model, plan, folder, reporter)
    reporter.line("written", visible(str(out)))
    return Deployment(model, plan, deployed, out)


def _title(model: str) -> str:
    factory = split_factory(model)
    return Path(model).stem if factory is None else factory[1]
