"""States of recurrent layers: tensors that the file marks as variable, which become variables of the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...errors import BadModel
from .file_model import FileOp, FileTensor, FileVariable
from .schema import ElementType


def taken_state(op: FileOp, place: int, element: ElementType, variables: list[FileVariable]) -> tuple[FileTensor, FileTensor]:
    """The tensors that show a state before and behind an operator; the variable, which starts at its zero point, is noted.

    Raises `BadModel` for a state that LiteRT refuses, or takes for another type than it has.
    """
    state = op.input(place)
    if not state.is_variable or state.is_constant:
        raise BadModel(f"{op.label}: its state {state.label} is not marked as a variable")
    if state.type is not element:
        raise BadModel(f"{op.label}: its state {state.label} is {state.type.name}; {element.name} is what LiteRT takes it for")
    if not -128 <= state.zero_point <= 127:
        raise BadModel(f"{op.label}: state {state.label} has a zero point outside -128..127")
    before = replace(state, index=None, is_variable=False)
    start = np.broadcast_to(np.array(state.zero_point, element.numpy), state.shape)
    variables.append(FileVariable(state.source_name, before, state, start))
    return before, state
