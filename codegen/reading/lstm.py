"""UNIDIRECTIONAL_SEQUENCE_LSTM, resolved: its states, which the file marks as variable, are variables of the model.

The operator keeps what it computes with, in the order of `ir.LstmAttrs`: data, the two states, then all others; and gives
the states behind it.
"""

from __future__ import annotations

from dataclasses import replace

from ...errors import BadModel, UnsupportedOperators
from .file_model import FileModel, FileOp, FileVariable
from .schema import ElementType
from .states import taken_state

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_STATES = ((18, ElementType.INT8), (19, ElementType.INT16))
_OPERANDS = (*range(9), *range(12, 16), 9, 10, 11, 16, 17, *range(20, 24))  # behind data and states, in the order of `LstmAttrs`
_INPUT_GATE = (1, 5, 12)
_NEEDED = (0, *range(2, 5), *range(6, 9), *range(13, 16), 18, 19)


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
    for i in _NEEDED:
        op.input(i)
    has_input_gate = _all_or_none(op, "its input gate's", _INPUT_GATE)
    gates = range(0 if has_input_gate else 1, 4)
    scales = [2.0**-12] * 4
    if _all_or_none(op, "its normalization's", tuple(20 + i for i in gates)):
        scales = [_inner_scale(op, i) if i in gates else scale for i, scale in enumerate(scales)]
    if not has_input_gate and op.optional(20) is not None:
        raise BadModel(f"{op.label}: it normalises an input gate that it does not have")
    _all_or_none(op, "its peephole", (9, 10, 11) if has_input_gate and op.optional(9) is not None else (10, 11))
    peepholes = [op.optional(i) is not None for i in (9, 10)]
    if peepholes[0] != (peepholes[1] and has_input_gate):
        raise BadModel(f"{op.label}: its input gate has {'a' if peepholes[0] else 'no'} peephole, and another gate differs")
    if op.optional(16) is None and op.optional(17) is not None:
        raise BadModel(f"{op.label}: it has a projection's bias without its weights")
    if peepholes[1] and op.input(18).shape != op.input(19).shape:
        raise BadModel(f"{op.label}: peepholes and a projection to another size, where LiteRT reads out of bounds")
    hidden = op.inner[4] if len(op.inner) == 5 else (ElementType.UNKNOWN, None)
    if hidden[0] is not ElementType.INT8 or hidden[1] is None or hidden[1].axis is not None:
        raise BadModel(f"{op.label}: it needs five intermediates, the last INT8 with one scale")
    states = [taken_state(op, place, element, variables) for place, element in _STATES]
    operands = (op.optional(i) for i in _OPERANDS)
    inputs = (op.input(0), *(before for before, _ in states), *list(operands)[1:])
    named = {f"gate_scale{i}": scale for i, scale in enumerate(scales)}
    options = {**op.options, **named, "hidden_scale": hidden[1].scale, "hidden_zero_point": hidden[1].zero_point}
    return replace(op, inputs=inputs, outputs=(op.output, *(state for _, state in states)), options=options, inner=())


def _all_or_none(op: FileOp, what: str, places: tuple[int, ...]) -> bool:
    """Whether the operands are there; `BadModel` where only some of them are, with which LiteRT refuses it or crashes."""
    there = [op.optional(i) is not None for i in places]
    if any(there) and not all(there):
        raise BadModel(f"{op.label}: of {what} operands {list(places)} only some are there")
    return all(there)


def _inner_scale(op: FileOp, gate: int) -> float:
    """The scale of a gate before it is normalised."""
    element, quantization = op.inner[gate] if gate < len(op.inner) else (ElementType.UNKNOWN, None)
    if element is not ElementType.INT16 or quantization is None or quantization.axis is not None:
        raise BadModel(f"{op.label}: with layer normalization its first four intermediates must be INT16 with one scale")
    return quantization.scale
