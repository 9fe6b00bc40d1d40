"""SVDF, resolved: its state, which the file marks as variable, is a variable of the model.

The operator keeps data, state, weights of the data, weights of the time and bias; and gives the state behind it.
"""

from __future__ import annotations

from dataclasses import replace

from ...errors import BadModel, UnsupportedOperators
from .file_model import FileModel, FileOp, FileVariable
from .schema import ElementType
from .states import taken_state

SVDF = "SVDF"


def resolve_svdf(model: FileModel) -> FileModel:
    """The model with its SVDFs in the form that the rules know.

    Raises `BadModel` for what LiteRT refuses, or runs with a state that it misreads, and `UnsupportedOperators` for data that are
    not int8.
    """
    if not any(op.opcode == SVDF for op in model.ops):
        return model
    variables: list[FileVariable] = []
    ops = tuple(_resolved(op, variables) if op.opcode == SVDF else op for op in model.ops)
    return replace(model, ops=ops, variables=(*model.variables, *variables))


def _resolved(op: FileOp, variables: list[FileVariable]) -> FileOp:
    if len(op.inputs) != 5 or len(op.outputs) != 1:
        raise BadModel(f"{op.label}: it has {len(op.inputs)} inputs and {len(op.outputs)} outputs, 5 and 1 are needed")
    if op.input(0).type is not ElementType.INT8:
        raise UnsupportedOperators([f"{op.label}: its data are {op.input(0).type.name}; a recurrent layer of INT8 is compiled"])
    before, behind = taken_state(op, 4, ElementType.INT16, variables)
    return replace(op, inputs=(op.input(0), before, op.input(1), op.input(2), op.optional(3)), outputs=(op.output, behind))
