"""Ends that are float32 (the converter's default) or uint8 in the file, int8 or int16 in the C.

The first QUANTIZE and the last DEQUANTIZE are a scale and a zero point, which the header gives; what only moves values between
such an end and them moves stored values as well. SOFTMAX, LOG_SOFTMAX, LOGISTIC and ARG_MAX behind the last of them are left to
the caller. A uint8 tensor is the int8 tensor of its scale, and a zero point 128 below, with the top bit flipped: a QUANTIZE
between the two is nothing, one between others is that of int8.

Exact: quantizing commutes with moving, and round(fl(scale * (q - zero)) / scale) + zero is q.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from ..ir import FileEnd, Quantization
from .constant_arithmetic import NotFoldable, quantized
from .file_model import FileModel, FileOp, FileTensor, as_it_is
from .schema import ElementType

MOVES = frozenset({"RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "GATHER", "PAD", "CONCATENATION"})
LEFT_TO_CALLER = frozenset({"SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "ARG_MAX"})
MAX_CONSTANT_ELEMENTS = 1 << 20  # of floats that are joined to an input before its QUANTIZE
_FOREIGN = (ElementType.FLOAT32, ElementType.UINT8)
_STORED = (ElementType.INT8, ElementType.INT16)


def float_ends(model: FileModel) -> FileModel:
    """The model between its quantized tensors, its ends noted in `file_inputs` and `file_outputs`; the same where all are."""
    ends_are_stored = all(t.type in _STORED for t in (*model.inputs, *model.outputs))
    if ends_are_stored and not any(op.opcode == "DEQUANTIZE" for op in model.ops):
        return model
    return _Ends(model).moved()


@dataclass(frozen=True)
class _Form:
    """How values are stored."""

    type: ElementType
    quantization: Quantization

    def of(self, tensor: FileTensor) -> FileTensor:
        """A new tensor with another's values in this form."""
        return FileTensor(None, tensor.source_name, tensor.shape, self.type, self.quantization)


@dataclass
class _Ends:
    """One pass over a model.

    stored_of  of a float or uint8 tensor, the int8 or int16 tensor with the same values
    behind     of a tensor that is left to the caller, from which one on, and by which operators
    moved_to   of what a move makes of stored values, the file's own tensor that a QUANTIZE would make of it, if there is one
    """

    model: FileModel
    stored_of: dict[FileTensor, FileTensor] = field(default_factory=dict)
    behind: dict[FileTensor, tuple[FileTensor, tuple[str, ...]]] = field(default_factory=dict)
    moved_to: dict[FileTensor, FileTensor | None] = field(default_factory=dict)
    constant_elements: int = 0

    def moved(self) -> FileModel:
        model = self.model
        wanted = _wanted_quantizations(model)
        self._stand_in_for_inputs(wanted)
        ops = tuple(self._in_files_own(new) for new in [n for op in model.ops for n in self._moved(op, wanted)])
        read = {*model.outputs, *(t for op in ops for t in op.inputs)}
        inputs = [t for t in model.inputs if t in self.stored_of or t.type in _STORED or t in read]
        dropped = [t for t in model.inputs if not (t in self.stored_of or t.type in _STORED or t in read)]
        outputs = [self._output(t) for t in model.outputs]
        moved = replace(
            model,
            ops=ops,
            inputs=tuple(self.stored_of.get(t, t) for t in inputs),
            outputs=tuple(tensor for tensor, _ in outputs),
            file_inputs=tuple(map(as_it_is, inputs)),
            file_outputs=tuple(end for _, end in outputs),
        )
        for sentence in _sentences(moved):
            moved = moved.noted(sentence)
        for tensor in dropped:
            moved = moved.noted(f"input {tensor.source_name} is {tensor.type.name.lower()} and nothing reads it: it has no port")
        return moved

    def _stand_in_for_inputs(self, wanted: dict[FileTensor, _Form | None]) -> None:
        """The tensor that a QUANTIZE makes of an input is the input; of one that is moved first, a new tensor."""
        inputs = set(self.model.inputs)
        for op in self.model.ops:
            source = op.optional(0)
            if source in inputs and op.opcode == "QUANTIZE" and wanted.get(source) is not None:
                self.stored_of.setdefault(source, op.output)
        for tensor in self.model.inputs:
            form = wanted.get(tensor) or (_of_bytes(tensor) if tensor in wanted else None)
            if form is not None and tensor not in self.stored_of:
                self.stored_of[tensor] = form.of(tensor)

    def _moved(self, op: FileOp, wanted: dict[FileTensor, _Form | None]) -> list[FileOp]:
        """What becomes of an operator: nothing, itself, or itself on stored values."""
        if len(op.outputs) != 1 or not op.inputs or op.inputs[0] is None:
            return [op]
        source, output = op.inputs[0], op.output
        if op.opcode == "QUANTIZE" and source.type in _FOREIGN:
            found = self.stored_of.get(source)
            if found is not None and source.type is ElementType.UINT8 and output.type is ElementType.UINT8:
                return self._requantized(op, found)
            if found is None or _form_of(found) != _form_of(output) or not _fits(source, output):
                return [op if found is None or source.type is not ElementType.UINT8 else replace(op, inputs=(found,))]
            if found is output:
                return []
            if found in self.moved_to and found.shape == output.shape and self.moved_to[found] is None:
                self.moved_to[found] = output
                return []
            return [replace(op, opcode="RESHAPE", inputs=(found,), options={})]
        if op.opcode in ("DEQUANTIZE", "QUANTIZE") and output.type in _FOREIGN and source.type in _STORED:
            if source.quantization is not None and _fits(output, source):
                self.stored_of[output] = source
            elif op.opcode == "QUANTIZE" and source.type is ElementType.INT8:
                return self._requantized(op, source)
        elif op.opcode in LEFT_TO_CALLER and output.type not in _STORED:
            base, names = self.behind.get(source, (source, ()))
            if names or source in self.stored_of or source.type in _STORED:
                self.behind[output] = (base, (*names, op.opcode))
        elif op.opcode in MOVES and source in self.behind:
            base, names = self.behind[source]
            if all(t is None or t.is_constant for t in op.inputs[1:]):  # else the caller lacks what is joined to it
                self.behind[output] = (base, (*names, op.opcode))
        elif op.opcode in MOVES and output.type in _FOREIGN:
            return [op, *self._on_stored(op, wanted.get(output))]
        return [op]

    def _requantized(self, op: FileOp, source: FileTensor) -> list[FileOp]:
        """A QUANTIZE to uint8, which stays where something needs it, and the one of int8 that computes the same."""
        form = _of_bytes(op.output)
        if form is None:
            return [op]
        made = self.stored_of[op.output] = form.of(op.output)
        return [op, replace(op, inputs=(source,), outputs=(made,))]

    def _on_stored(self, op: FileOp, form: _Form | None) -> list[FileOp]:
        data = op.inputs if op.opcode == "CONCATENATION" else op.inputs[:1]
        for tensor in data:
            if tensor is not None and tensor.data is not None and tensor not in self.stored_of and form is not None:
                constant = form.of(tensor)
                self.constant_elements += tensor.data.size
                if self.constant_elements > MAX_CONSTANT_ELEMENTS:
                    return []
                try:
                    self.stored_of[tensor] = replace(constant, data=quantized(tensor.data, constant))
                except NotFoldable:
                    return []
        found = [self.stored_of.get(t) for t in data if t is not None]
        forms = {None if t is None else _form_of(t) for t in found}
        (one,) = forms if len(forms) == 1 and len(found) == len(data) else (None,)
        if one is None:
            return []
        self.stored_of[op.output] = one.of(op.output)
        self.moved_to[self.stored_of[op.output]] = None
        return [replace(op, inputs=(*found, *op.inputs[len(data) :]), outputs=(self.stored_of[op.output],))]

    def _in_files_own(self, op: FileOp) -> FileOp:
        def own(tensor: FileTensor | None) -> FileTensor | None:
            return tensor if tensor is None else self.moved_to.get(tensor) or tensor

        outputs = tuple(self.moved_to.get(t) or t for t in op.outputs)
        return replace(op, inputs=tuple(map(own, op.inputs)), outputs=outputs)

    def _output(self, tensor: FileTensor) -> tuple[FileTensor, FileEnd]:
        base, names = self.behind.get(tensor, (tensor, ()))
        end = as_it_is(base)
        found = self.stored_of.get(base, base)
        return self.moved_to.get(found) or found, replace(end, name=tensor.source_name, left_to_caller=names)


def _form_of(tensor: FileTensor) -> _Form | None:
    return None if tensor.quantization is None else _Form(tensor.type, tensor.quantization)


def _of_bytes(tensor: FileTensor) -> _Form | None:
    """The form of the int8 values that a uint8 tensor holds, each 128 below its byte; None for other tensors."""
    q = tensor.quantization
    if tensor.type is not ElementType.UINT8 or q is None or q.axis is not None:
        return None
    return _Form(ElementType.INT8, Quantization(q.scales, (q.zero_points[0] - 128,)))


def _wanted_quantizations(model: FileModel) -> dict[FileTensor, _Form | None]:
    """The form that the QUANTIZEs behind a float or uint8 tensor give it; None where they differ."""
    wanted: dict[FileTensor, _Form | None] = {}

    def want(tensor: FileTensor | None, form: _Form | None) -> None:
        if tensor is not None and tensor.type in _FOREIGN:
            wanted[tensor] = form if wanted.get(tensor, form) == form else None

    for op in reversed(model.ops):
        if not op.outputs or not op.inputs:
            continue
        if op.opcode == "QUANTIZE" and op.output.type in _STORED and op.output.quantization is not None:
            source = op.inputs[0]
            want(source, _form_of(op.output) if source is not None and _fits(source, op.output) else None)
        elif op.opcode in MOVES and op.output in wanted:
            for tensor in op.inputs if op.opcode == "CONCATENATION" else op.inputs[:1]:
                want(tensor, wanted[op.output])
    return wanted


def _fits(foreign: FileTensor, stored: FileTensor) -> bool:
    """Whether stored values hold the same real ones: one scale, and for uint8 that scale and a zero point 128 above int8's."""
    q, own = stored.quantization, foreign.quantization
    if q is None or q.axis is not None:
        return False
    if foreign.type is ElementType.FLOAT32:
        return True
    is_int8 = stored.type is ElementType.INT8
    return (
        is_int8
        and own is not None
        and own.axis is None
        and own.scales == q.scales
        and own.zero_points[0] == q.zero_points[0] + 128
    )


def _sentences(model: FileModel) -> list[str]:
    """What the caller must know, in one line for each type."""
    ends = [("input", e) for e in model.file_inputs] + [("output", e) for e in model.file_outputs]
    found = []
    tensors = [*model.inputs, *model.outputs]
    for element, stored in itertools.product(("float32", "uint8"), _STORED):
        own = [end for end, tensor in zip(ends, tensors, strict=True) if tensor.type is stored]
        names = [f"{what} {end.name}" for what, end in own if end.element == element]
        if names:
            inside = stored.name.lower()
            found.append(f"{', '.join(names)}: {element} in the file, {inside} in the C, with scale and zero point in the header")
    for end in model.file_outputs:
        if end.left_to_caller:
            found.append(f"output {end.name}: {', then '.join(end.left_to_caller)} behind it is left to the caller")
    return found
