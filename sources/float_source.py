"""A float network before quantization, whatever it came from: an ONNX file, a module by its factory, a module in memory.

Another source is one more function here: all end in ONNX bytes that `export` takes. torch is imported where it is needed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadModel, FlynetError, UsageError
from ..folders.regular_file import read_regular
from ..quoting import ForeignText, visible
from .extras import require_torch
from .shapes import ONLY_INPUT

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..export.onnx_import import ImportedOnnx

Shape = tuple[int, ...]
MOST_FILE_BYTES = 1 << 31  # of a protocol buffer, and of what it keeps beside itself


@dataclass(frozen=True, eq=False)
class FloatSource:
    """title    what reports call it
    origin   what it was, in words
    network  the float network
    """

    title: str
    origin: str
    network: ImportedOnnx

    @property
    def shapes(self) -> dict[str, Shape]:
        """Of the inputs, with a batch of 1."""
        return {name: self.network.graph.shapes[name] for name in self.network.graph.inputs}

    @property
    def classes(self) -> int | None:
        """Of the first output, where it is a list of scores."""
        sizes = [size for size in self.network.graph.shapes[self.network.graph.outputs[0]] if size != 1]
        return sizes[0] if len(sizes) == 1 else 1 if not sizes else None


def split_factory(model: str) -> tuple[Path, str] | None:
    """(`nets.py`, `make_net`) of `nets.py:make_net`; None for any other text."""
    found = re.fullmatch(r"(.+\.py):([^:/\\]+)", model, re.DOTALL)
    return None if found is None else (Path(found[1]), found[2])


def is_float(model: str) -> bool:
    """Whether a model is a float network by its name: all else is an int8 `.tflite`."""
    return split_factory(model) is not None or Path(model).suffix.lower() == ".onnx"


def require_known_kind(model: str) -> None:
    """UsageError for what is no model file, with the form that is."""
    path = Path(model)
    if path.suffix == ".py":
        raise UsageError(f"{model} is code: say which function of it makes the network, as {model}:make_net")
    if path.suffix.lower() in (".pt", ".pth", ".ckpt"):
        raise UsageError(
            f"{model} is read as weights only; give the code that makes the network too: nets.py:make_net --weights {model}. "
            "A checkpoint of 'flynet-tiny train' goes to 'flynet-tiny export --checkpoint'"
        )


def open_float(model: str, shapes: Mapping[str, Shape], weights: Path | None) -> FloatSource:
    """The float network that a text names: `FILE.onnx`, or `FILE.py:FACTORY` with `weights`. Every error names it."""
    factory = split_factory(model)
    if factory is not None:
        return of_factory(*factory, shapes, weights)
    if weights is not None:
        raise UsageError(f"--weights goes with FILE.py:FACTORY; {model} has its own")
    return of_onnx_file(Path(model), shapes)


def of_onnx_file(path: Path, shapes: Mapping[str, Shape]) -> FloatSource:
    """The network of an ONNX file; what it keeps in other files is taken from its own folder alone."""
    from ..export.onnx_import import import_onnx

    if path.is_dir():
        raise BadModel(f"{path} is a folder, not an .onnx file")
    try:
        data = read_regular(path, MOST_FILE_BYTES)
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror}") from error
    try:
        network = import_onnx(data, shapes, _beside(path))
    except FlynetError as error:
        raise error.about(path) from error.__cause__
    by = f" by {ForeignText(network.producer)}" if network.producer else ""
    return FloatSource(path.stem, f"float ONNX of opset {network.opset}{by}", network)


def _beside(model: Path) -> Callable[[str], bytes]:
    """How the files are read that a model names: they must lie in its folder, and be files."""
    contents: dict[str, bytes] = {}

    def read(location: str) -> bytes:
        if location not in contents:
            contents[location] = _read_beside(model.parent, location)
        return contents[location]

    return read


def _read_beside(folder: Path, location: str) -> bytes:
    name = visible(location)
    place = folder / location
    if not location or "\0" in location or Path(location).is_absolute() or "\\" in location or ".." in Path(location).parts:
        raise BadModel(f"its weights lie at {name!r}; only a file in the model's own folder is read")
    try:
        if not place.resolve().is_relative_to(folder.resolve()):
            raise BadModel(f"its weights lie at {name!r}, which leads out of the model's own folder")
        return read_regular(place, MOST_FILE_BYTES)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        why = error.strerror if isinstance(error, OSError) else "its links run in a circle"
        raise BadModel(f"cannot read its weights in {name!r}: {why}") from error


def of_factory(file: Path, factory: str, shapes: Mapping[str, Shape], weights: Path | None) -> FloatSource:
    """The network that `factory` in `file` makes, with the weights of another file."""
    name = f"{file}:{factory}"
    if not shapes:
        raise UsageError(f"{name} says nothing of its input; give its shape with --input, e.g. 1,3,96,96")
    require_torch()
    from .factory import load_weights, made_by

    module = made_by(file, factory)
    if weights is not None:
        load_weights(module, weights, name)
    import torch

    names = [parameter for parameter in inspect.signature(module.forward).parameters if parameter in shapes]
    ordered = {key: shapes[key] for key in names} if set(names) == set(shapes) else shapes  # as `forward` takes them
    try:
        return of_module(module, [torch.zeros(shape) for shape in ordered.values()], factory, tuple(ordered))
    except FlynetError as error:
        raise error.about(name) from error.__cause__


def of_module(
    module: nn.Module, examples: Sequence[torch.Tensor], title: str, names: Sequence[str] = (ONLY_INPUT,)
) -> FloatSource:
    """The network of a module that is called with `examples`, whose batch is 1.

    names  of the inputs, as `forward` calls them, where there are several
    """
    from ..export.onnx_export import OPSET, export_module
    from ..export.onnx_file import PRODUCER
    from ..export.onnx_graph import load_onnx
    from ..export.onnx_import import ImportedOnnx

    onnx = export_module(module, examples)
    graph = load_onnx(onnx)
    if len(examples) > 1 and any(names) and set(names) != set(graph.inputs):
        raise BadModel(f"the module's inputs are {', '.join(graph.inputs)}, not {', '.join(names)}")
    return FloatSource(title, f"torch module {type(module).__name__}", ImportedOnnx(onnx, graph, OPSET, PRODUCER))
