"""UNIDIRECTIONAL_SEQUENCE_LSTM, resolved: its states, which the file marks as variable, are variables of the model.

The operator keeps what it computes with: data, the two states, weights and biases of four gates; and gives the states behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...errors import BadModel, UnsupportedOperators
from .file_model import FileModel, FileOp, FileTensor, FileVariable
from .schema import ElementType

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_STATES = ((18, ElementType.INT8), (19, ElementType.INT16))
_NEEDED = (*range(9), *range(12, 16), 18, 19)
_FORMS: tuple[tuple[str, Callable[[FileOp], bool]], ...] = (
    ("without weights of its input gate (CIFG)", lambda op: op.optional(1) is None),
    ("with peepholes", lambda op: any(op.optional(i) is not None for i in (9, 10, 11))),
    ("with a projection", lambda op: any(op.optional(i) is not None for i in (16, 17))),
    ("with layer normalization", lambda op: any(op.optional(i) is not None for i in range(20, 24))),
)


def resolve_lstm(model: FileModel) -> FileModel:
    """The model with its LSTMs in the form that the rules know.

    Raises `BadModel` for what LiteRT refuses, or runs with operands that it misreads, and `UnsupportedOperators` for forms that
    are not compiled.
    """
    if not any(op.opcode == LSTM for op in model.ops):
        return model
    variables: list[FileVariable] = []
    ops = tuple(_resolved(op, variables) if op.opcode == LSTM else op for op in model.ops)
    return replace(model, ops=ops, variables=(*model.variables, *variables))


def _resolved(op: FileOp, variables: list[FileVariable]) -> FileOp:
    if len(op.inputs) not in (20, 24) or len(op.outputs) != 1:
        raise BadModel(f"{op.label}: it has {len(op.inputs)} inputs and {len(op.outputs)} outputs, 20 or 24 and 1 are needed")
    if op.input(0).type is not ElementType.INT8:
        raise UnsupportedOperators([f"{op.label}: its data are {op.input(0).type.name}; a recurrent layer of INT8 is compiled"])
    for form, has in _FORMS:
        if has(op):
            raise UnsupportedOperators([f"{op.label}: an LSTM {form} is not compiled; one of four plain gates is"])
    operands = [op.input(i) for i in _NEEDED]
    hidden = op.inner[4] if len(op.inner) == 5 else (ElementType.UNKNOWN, None)
    if hidden[0] is not ElementType.INT8 or hidden[1] is None or hidden[1].axis is not None:
        raise BadModel(f"{op.label}: it needs five intermediates, the last INT8 with one scale")
    behind = []
    for place, element in _STATES:
        state = op.input(place)
        if not state.is_variable or state.is_constant:
            raise BadModel(f"{op.label}: its state {state.label} is not marked as a variable")
        if state.type is not element:
            raise BadModel(
                f"{op.label}: its state {state.label} is {state.type.name}; {element.name} is what LiteRT takes it for"
            )
        before = replace(state, index=None, is_variable=False)
        if not -128 <= state.zero_point <= 127:
            raise BadModel(f"{op.label}: state {state.label} has a zero point outside -128..127")
        start = np.broadcast_to(np.array(state.zero_point, element.numpy), state.shape)
        variables.append(FileVariable(state.source_name, before, state, start))
        behind.append((before, state))
    inputs: list[FileTensor | None] = [operands[0], *(before for before, _ in behind), *operands[1:13]]
    options = {**op.options, "hidden_scale": hidden[1].scale, "hidden_zero_point": hidden[1].zero_point}
    return replace(op, inputs=tuple(inputs), outputs=(op.output, *(state for _, state in behind)), options=options, inner=())
