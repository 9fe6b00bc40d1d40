"""A deployed network in Python: its verdict, its C on this machine, its folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..deploy.quantized_model import DeploymentPlan, QuantizedModel
from ..errors import BadData, OverBudget
from ..folders.manifest import Kind
from ..folders.output_folder import output_folder
from ..folders.scratch import MARKER, ScratchFolder
from ..report.schema import Report, Verification
from .arrays import arrays_by_name

if TYPE_CHECKING:
    from ..codegen.compiler import Compiled
    from ..deploy.pipeline import Deployed
    from ..verify.shared_library import SharedLibrary

Array = npt.NDArray[Any]


class Deployment:
    """What `flynet_tiny.compile` gives.

    report  every figure, as report.json has it;  folder  where the files lie now: C, firmware, model, report
    """

    def __init__(
        self, model: QuantizedModel, plan: DeploymentPlan, deployed: Deployed, folder: Path, scratch: ScratchFolder | None = None
    ):
        self.report: Report = deployed.report
        self.over_budget: OverBudget | None = deployed.over_budget
        self.folder = folder
        self._scratch = scratch  # lives as long as this does
        self._model = model
        self._plan = plan

    @property
    def fits(self) -> bool:
        """Whether flash and RAM of the chip hold it; the report says what is missing."""
        return self.report.fits

    @property
    def flash(self) -> int | None:
        """Bytes of flash, from the linked ELF; None where nothing could be linked."""
        return self.report.flash.used_bytes

    @property
    def ram(self) -> int:
        """Bytes of RAM: arena, stack and statics; the arena alone where nothing could be linked."""
        return self.report.ram.used_bytes

    @property
    def tflite(self) -> bytes:
        """The int8 model."""
        return self._model.tflite

    def run(self, *inputs: Any) -> Any:
        """What the generated C computes on this machine.

        inputs  an array [N, ...] for each input of the network, or one mapping by name: of floats, as the float network takes
                them; of uint8 pictures, which are normalised; or of int8, as the C takes them (NHWC)
        Floats in give floats out, in the network's own axes; int8 in gives int8 out. Several outputs are a tuple. A network with
        state goes on where the call before ended; `reset` begins anew.
        """
        library, graph = self._library, self._compiled.source_graph
        given = arrays_by_name(inputs, tuple(self._model_shapes))
        is_int8 = self._is_stored(given)
        stored = self._stored(given, is_int8)
        results = [library.run({name: values[i] for name, values in stored.items()}) for i in range(_length(stored))]
        outputs = []
        for index, name in enumerate(graph.outputs):
            tensor = graph.tensor(name)
            found = np.stack([result[name].reshape(tensor.shape) for result in results])
            outputs.append(_without_batch(found, tensor.shape) if is_int8 else self._real(index, found))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def reset(self) -> None:
        """Begin a new sequence of a network with state."""
        self._library.reset()

    def verify(self, *inputs: Any, count: int = 16, seed: int = 1) -> tuple[Verification, ...]:
        """Compare every tensor of all runtimes on this machine again: the golden model, LiteRT and the C on the host.

        inputs  as for `run`; without them `count` fresh ones of their own, by `seed`
        Raises NumbersDiffer for the first tensor that differs.
        """
        from ..deploy.network import inputs_for_any_model
        from ..deploy.proof import Runtimes, prove, test_inputs
        from ..verify.host_c import HostLibrary

        graph = self._compiled.source_graph
        if inputs:
            given = arrays_by_name(inputs, tuple(self._model_shapes))
            real = self._stored(given, self._is_stored(given))
            count = _length(real)
        else:
            real = {graph.inputs[0]: inputs_for_any_model(graph.tensor(graph.inputs[0]), count, seed)}
        with HostLibrary(self._compiled.library) as host:
            sets = test_inputs(self._compiled, real, count, seed)
            return prove(Runtimes(self._compiled, self.tflite, host, None), sets, lambda done, of: None).pairs

    def save(self, out: Path | str) -> Path:
        """Write the folder that `flynet-tiny compile --out` writes; it replaces only what we wrote."""
        with output_folder(Path(out), Kind.NETWORK) as folder:
            for entry in sorted(self.folder.iterdir()):
                if entry.name not in (MARKER, "manifest.json"):
                    copy = shutil.copytree if entry.is_dir() else shutil.copy2
                    copy(entry, folder / entry.name)
        return Path(out)

    @cached_property
    def _compiled(self) -> Compiled:
        from ..codegen.compiler import compile_tflite

        return compile_tflite(self._model.tflite, self._model.name, self._plan.build)

    @cached_property
    def _library(self) -> SharedLibrary:
        from ..verify.shared_library import SharedLibrary

        return SharedLibrary(self._compiled.library)

    @cached_property
    def _model_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of the inputs, by the names and in the axes of the model that was given."""
        if self._model.float_ends is not None:
            return {str(t.value): t.layout.shape for t in self._model.float_ends.inputs if t.layout is not None}
        graph = self._compiled.source_graph
        return {end.name.raw: graph.tensor(name).shape for name, end in zip(graph.inputs, graph.file_inputs, strict=True)}

    def _is_stored(self, given: Mapping[str, Array]) -> bool:
        """Whether inputs are as the C takes them."""
        graph = self._compiled.source_graph
        return all(
            array.dtype == graph.tensor(name).dtype.value for name, array in zip(graph.inputs, given.values(), strict=True)
        )

    def _stored(self, given: Mapping[str, Array], is_int8: bool) -> dict[str, npt.NDArray[np.integer]]:
        """[N, ...] int8 by the names of the graph's inputs."""
        from ..deploy.network import quantize_values
        from ..sources.preprocessing import Preprocessing
        from ..sources.sample_files import of_arrays

        graph = self._compiled.source_graph
        if is_int8:
            return {
                name: _of_shape(array, graph.tensor(name).shape) for name, array in zip(graph.inputs, given.values(), strict=True)
            }
        samples = of_arrays(given, self._model_shapes, Preprocessing(self._model.pixels))
        tensors = [None] * len(graph.inputs) if self._model.float_ends is None else self._model.float_ends.inputs
        found = {}
        for name, tensor, values in zip(graph.inputs, tensors, samples.values.values(), strict=True):
            real = values if tensor is None else np.concatenate([tensor.stored(value[None]) for value in values])
            found[name] = quantize_values(real, graph.tensor(name))
        return found

    def _real(self, index: int, stored: Array) -> npt.NDArray[np.float32]:
        """[N, ...] real numbers of an output's int8 values [N, 1, ...], in the axes of the model that was given."""
        graph = self._compiled.source_graph
        tensor = graph.tensor(graph.outputs[index])
        real = (tensor.scale * (stored.astype(np.float64) - tensor.zero_point)).astype(np.float32)
        ends = self._model.float_ends
        layout = None if ends is None else ends.outputs[index].layout
        each = [value if layout is None else layout.from_memory(value.reshape(-1)) for value in real]
        return np.concatenate(each) if each[0].shape[:1] == (1,) else np.stack(each)


def _without_batch(stored: Array, shape: tuple[int, ...]) -> Array:
    return stored[:, 0] if shape[:1] == (1,) else stored


def _length(stored: Mapping[str, Array]) -> int:
    return len(next(iter(stored.values())))


def _of_shape(array: Array, shape: tuple[int, ...]) -> npt.NDArray[np.integer]:
    """int8 inputs [N, ...] of one that takes [1, ...]."""
    if array.shape == shape or array.shape[1:] == shape[1:]:
        return array
    raise BadData(f"an int8 input is {list(array.shape)}; the C takes {['N', *shape[1:]]}")
