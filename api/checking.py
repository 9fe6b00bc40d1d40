"""`flynet-tiny check`: what a model is, and everything that stops it from being compiled, in seconds and without data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..codegen.ir import Graph, file_inputs, file_outputs
from ..codegen.ir import macs as int8_macs
from ..codegen.targets import get_target
from ..deploy.model_file import open_tflite
from ..errors import OverBudget, UnsupportedOperators
from ..quoting import ForeignText, shorten, visible
from ..sources.float_source import FloatSource, is_float, open_float, require_known_kind

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, ...]
_NAME = 12
_PROBLEM_CHARACTERS = 300


@dataclass(frozen=True)
class Check:
    """What a model is, and what stops it.

    kind        of file, in words
    inputs, outputs  shapes by name;  operators  how many of each kind; all empty where the model could not be read so far
    problems    each with its node's name or its module's path, the reason, and the nearest form that works where there is one
    """

    model: str
    kind: str
    inputs: Mapping[str, Shape] = field(default_factory=dict)
    outputs: Mapping[str, Shape] = field(default_factory=dict)
    parameters: int = 0
    macs: int = 0
    operators: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def compiles(self) -> bool:
        """Whether nothing stops it; whether it fits a chip, `compile` says."""
        return not self.problems

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps({**asdict(self), "compiles": self.compiles}, indent=2) + "\n"

    def __str__(self) -> str:
        lines = [f"{visible(self.model)}: {visible(self.kind)}"]
        for name, ends in (("input", self.inputs), ("output", self.outputs)):
            lines += [_row(name, f"{ForeignText(end)} {list(shape)}") for end, shape in ends.items()]
        if self.operators:
            lines.append(_row("size", f"{self.parameters:,} parameters, {self.macs:,} multiply-accumulates"))
            lines.append(_row("operators", ", ".join(f"{count} {visible(kind)}" for kind, count in self.operators.items())))
        if self.compiles:
            return "\n".join([*lines, _row("compiles", "yes")]) + "\n"
        count = len(self.problems)
        lines.append(_row("compiles", f"NO: {count} operator{'s' if count != 1 else ''} without a way into int8"))
        lines += [f"    {shorten(visible(problem), _PROBLEM_CHARACTERS)}" for problem in self.problems]
        return "\n".join(lines) + "\n"


def check_file(model: str, shapes: Mapping[str, Shape], weights: Path | None = None, target: str | None = None) -> Check:
    """What a `.tflite`, an `.onnx` or `FILE.py:FACTORY` is, and what stops it.

    target  also refuse what no plan brings into this chip: OverBudget
    Raises BadModel for a file that cannot be read.
    """
    require_known_kind(model)
    chip = None if target is None else get_target(target)
    shown = Path(model).name
    if not is_float(model):
        return _int8_file(Path(model), shown, target)
    try:
        source = open_float(model, shapes, weights)
    except UnsupportedOperators as error:
        return Check(shown, "float network", problems=error.found)
    if chip is not None and source.network.parameters > chip.flash_bytes:
        raise OverBudget(
            f"{shown} has {source.network.parameters:,} parameters, a byte each; {chip.name} has {chip.flash_bytes:,} B of flash"
        )
    return check_source(source, shown)


def check_source(source: FloatSource, shown: str) -> Check:
    """The same of a float network."""
    from ..export.onnx_counts import macs, operators
    from ..export.tflite_export import require_lowerable

    graph = source.network.graph
    return Check(
        model=shown,
        kind=source.origin,
        inputs=source.shapes,
        outputs={name: graph.shapes[name] for name in graph.outputs},
        parameters=source.network.parameters,
        macs=macs(graph),
        operators=operators(graph),
        problems=_problems(lambda: require_lowerable(graph)),
    )


def _problems(require: Callable[[], object]) -> tuple[str, ...]:
    try:
        require()
    except UnsupportedOperators as error:
        return error.found
    return ()


def _int8_file(path: Path, shown: str, target: str | None) -> Check:
    try:
        _, graph = open_tflite(path, "model")
    except UnsupportedOperators as error:
        return Check(shown, "TensorFlow Lite", problems=error.found)
    if target is not None:
        from ..codegen.compiler import require_possible
        from ..codegen.minimise.minimise import minimise
        from ..codegen.schedule.least_memory import require_flash_for_weights

        require_possible(graph, target)
        require_flash_for_weights(minimise(graph).graph, target)
    constants = [tensor for tensor in graph.tensors.values() if tensor.is_constant]
    counts = Counter(op.kind.value for op in graph.ops)
    return Check(
        model=shown,
        kind="int8 TensorFlow Lite",
        inputs=_ends(graph, graph.inputs, True),
        outputs=_ends(graph, graph.outputs, False),
        parameters=sum(tensor.num_elements for tensor in constants),
        macs=sum(int8_macs(op, graph) for op in graph.ops),
        operators=dict(sorted(counts.items(), key=lambda found: (-found[1], found[0]))),
    )


def _ends(graph: Graph, names: tuple[str, ...], are_inputs: bool) -> dict[str, Shape]:
    ends = file_inputs(graph) if are_inputs else file_outputs(graph)
    return {end.name.raw or name: graph.tensor(name).shape for name, end in zip(names, ends, strict=True)}


def _row(name: str, text: str) -> str:
    return f"  {name:<{_NAME}}{text}"
