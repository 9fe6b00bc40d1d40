"""The door for an int8 `.tflite` file: its bytes to a verified `Graph`.

The file is untrusted. `reading.parse` checks offsets, indices and lengths, and variables are resolved; then the operators are
looked at before anything else is judged, since a list of what has no kernel helps more than the first odd shape;
`reading.operands` checks every operand once, so that the rules of `supported_ops`, `reading.build` and `verify_graph` can rely on
them.
"""

from __future__ import annotations

from ..errors import BadModel, UnsupportedOperators
from .ir import Graph
from .reading.build import build_graph
from .reading.compose import compose
from .reading.file_model import FileModel, FileOp
from .reading.lstm import resolve_lstm
from .reading.model_kind import kind_of, not_int8
from .reading.normalise import normalise
from .reading.operands import broken_quantization, incomplete, malformed
from .reading.parse import parse, unknown_operators
from .reading.schema import ElementType
from .reading.svdf import resolve_svdf
from .reading.variables import resolve_variables
from .supported_ops import has_kernel, problems
from .verify_graph import GraphError


def read_tflite(data: bytes, name: str = "model") -> Graph:
    """The verified graph of a model file.

    Raises `UnsupportedOperators` with every operator that has no kernel, and `BadModel` for a file that is truncated,
    inconsistent, unsafe or not int8.
    """
    unknown = unknown_operators(data)
    try:
        given = resolve_svdf(resolve_lstm(resolve_variables(parse(data))))
        _require_complete(given)
        model = normalise(given, len(data))
    except BadModel as error:
        if unknown:
            raise UnsupportedOperators([problem for op in unknown for problem in problems(op)]) from error
        raise
    _require_kernels(model, given, unknown)
    wrong = not_int8(model, given)
    if wrong is not None:
        raise BadModel(wrong)
    _require_sound(model)
    found = [problem for op in model.ops for problem in problems(op)]
    if found:
        raise UnsupportedOperators(found)
    _require_int8_ends(model)
    composed = compose(model)
    found = [] if composed is model else [problem for op in composed.ops for problem in problems(op)]
    if found:
        raise UnsupportedOperators(found)
    try:
        return build_graph(composed, name)
    except GraphError as error:
        raise BadModel("; ".join((f"the model is inconsistent: {error}", *given.notes))) from error


def _require_complete(model: FileModel) -> None:
    """Refuse operators with too few or too many operands and tensors that are not written once, before any rewriting."""
    written = {*model.inputs, *(variable.before for variable in model.variables)}
    for op in model.ops:
        gap = incomplete(op) if has_kernel(op) else None
        if gap is not None:
            raise BadModel(gap)
        for tensor in op.outputs:
            if tensor.is_constant:
                raise BadModel(f"{op.label}: it writes {tensor.label}, which is a constant")
            if tensor in written:
                raise BadModel(
                    f"{op.label}: it writes {tensor.label}, which is an input of the model, a variable or was written before"
                )
            written.add(tensor)


def _require_kernels(model: FileModel, given: FileModel, unknown: tuple[FileOp, ...]) -> None:
    """Refuse a model with operators that have no kernel: list them, and what else is wrong with the others, in their order.

    given    the model as its file has it
    unknown  those that parsing found; of subgraphs other than the main one they are all that is known
    """
    elsewhere = [op for op in unknown if op.subgraph > 0]
    if not elsewhere and all(has_kernel(op) for op in model.ops):
        return
    is_int8 = not_int8(model, given) is None
    found = []
    for op in (*model.ops, *elsewhere):
        if has_kernel(op) and any(t.type is ElementType.FLOAT32 for t in op.outputs):
            found.append(f"{op.label} computes in float")
        elif not has_kernel(op) or (is_int8 and malformed(op) is None):
            found += problems(op)
    raise UnsupportedOperators(found, kind_of(model, given))


def _require_sound(model: FileModel) -> None:
    """Refuse operands that are missing or mean nothing."""
    if not model.ops:
        raise BadModel("the model needs an operator that computes int8 values")
    for op in model.ops:
        broken = malformed(op)
        if broken is not None:
            raise BadModel(broken)


def _require_int8_ends(model: FileModel) -> None:
    """Refuse ends of the model that are not int8 or int16 with one scale."""
    for tensor in (*model.inputs, *model.outputs):
        if tensor.type not in (ElementType.INT8, ElementType.INT16):
            raise BadModel(
                f"{tensor.label} is an input or output of the model and is {tensor.type.name}, INT8 or INT16 is needed"
            )
        broken = broken_quantization(tensor)
        if broken is not None:
            raise BadModel(broken)
        q = tensor.quantization
        if q is not None and q.axis is not None:
            raise BadModel(f"{tensor.label} is an input or output of the model with {len(q.scales)} scales, one is needed")
