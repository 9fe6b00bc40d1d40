"""A model as its file has it: checked against bounds, not yet understood. All frozen; a rewriting makes new ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ...errors import BadModel
from ...quoting import ForeignText
from ..ir import FileEnd, Quantization
from .schema import ElementType


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of any element type; `data` is a read-only view of the file's bytes, None for what is computed at run time.

    index        in the file; None for a tensor that a rewriting made
    is_variable  the file says that it keeps its value from one inference to the next
    """

    index: int | None
    source_name: ForeignText
    shape: tuple[int, ...]
    type: ElementType
    quantization: Quantization | None = None
    data: npt.NDArray[np.generic] | None = None
    is_variable: bool = False

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"tensor {self.source_name!r}" if self.index is None else f"tensor {self.index} {self.source_name!r}"

    @property
    def num_elements(self) -> int:
        return math.prod(self.shape)

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    def constant(self) -> npt.NDArray[np.generic]:
        """The data of a constant; `BadModel` for any other tensor."""
        if self.data is None:
            raise BadModel(f"{self.label} must be constant")
        return self.data

    @property
    def scale(self) -> float:
        """The one scale; `BadModel` where there is none or one for each channel."""
        return self._per_tensor().scale

    @property
    def zero_point(self) -> int:
        """The one zero point; `BadModel` where there is none or one for each channel."""
        return self._per_tensor().zero_point

    def _per_tensor(self) -> Quantization:
        if self.quantization is None:
            raise BadModel(f"{self.label} has no scale")
        if self.quantization.axis is not None:
            raise BadModel(f"{self.label} has {len(self.quantization.scales)} scales where one is needed")
        return self.quantization


@dataclass(frozen=True, eq=False)
class FileOp:
    """An operator; an input that the file leaves out is None. `options` are those that `schema.OPTIONS` names.

    subgraph  0 is the main one, of which a `FileModel` consists
    texts     its options that are texts, those that `schema.TEXT_OPTIONS` names
    inner     types and quantizations of its intermediates, tensors of which the file says nothing else
    """

    index: int
    opcode: str
    inputs: tuple[FileTensor | None, ...]
    outputs: tuple[FileTensor, ...]
    options: Mapping[str, int | float]
    subgraph: int = 0
    texts: tuple[ForeignText, ...] = ()
    inner: tuple[tuple[ElementType, Quantization | None], ...] = ()

    @property
    def label(self) -> str:
        """How messages name it: its place, kind and output."""
        place = (
            f"op {self.index} {self.opcode}" if self.subgraph == 0 else f"subgraph {self.subgraph} op {self.index} {self.opcode}"
        )
        return f"{place} -> {self.outputs[0].source_name!r}" if self.outputs else place

    def input(self, i: int) -> FileTensor:
        """Operand i; `BadModel` where the file leaves it out."""
        tensor = self.inputs[i] if i < len(self.inputs) else None
        if tensor is None:
            raise BadModel(f"{self.label}: input {i} is missing")
        return tensor

    def optional(self, i: int) -> FileTensor | None:
        """Operand i, or None."""
        return self.inputs[i] if i < len(self.inputs) else None

    @property
    def output(self) -> FileTensor:
        if not self.outputs:
            raise BadModel(f"{self.label}: an output is missing")
        return self.outputs[0]


@dataclass(frozen=True, eq=False)
class FileVariable:
    """What a model keeps from one inference to the next: tensors with its value before and after one, and its start value."""

    name: ForeignText
    before: FileTensor
    after: FileTensor
    start: npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class FileModel:
    """The main subgraph: operators in order, and the tensors that go in and come out.

    called     the subgraphs that a CALL_ONCE runs, by their index in the file
    variables  once the operators on them are resolved
    file_inputs, file_outputs  the ends as the file has them, where a rewriting moved them; else empty
    notes                      what the rewritings changed, each a sentence
    """

    ops: tuple[FileOp, ...]
    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    file_inputs: tuple[FileEnd, ...] = ()
    file_outputs: tuple[FileEnd, ...] = ()
    notes: tuple[str, ...] = ()
    called: Mapping[int, FileModel] = field(default_factory=dict)
    variables: tuple[FileVariable, ...] = ()

    def noted(self, sentence: str) -> FileModel:
        """The same model with one more note."""
        return replace(self, notes=(*self.notes, sentence))


def as_it_is(tensor: FileTensor) -> FileEnd:
    """The end of a model that is the file's own tensor."""
    return FileEnd(-1 if tensor.index is None else tensor.index, tensor.source_name, tensor.shape, tensor.type.name.lower())
