"""The door for an int8 `.tflite` file: its bytes to a verified `Graph`.

The file is untrusted: `reading.parse` checks offsets, indices and lengths, `supported_ops` the operators, `reading.build` and
`verify_graph` their meaning.
"""

from __future__ import annotations

from ..errors import BadModel, UnsupportedOperators
from .ir import Graph
from .reading.build import build_graph
from .reading.file_model import FileModel
from .reading.parse import parse
from .reading.schema import ElementType
from .supported_ops import problems
from .verify_graph import GraphError


def read_tflite(data: bytes, name: str = "model") -> Graph:
    """The verified graph of a model file.

    Raises `BadModel` for a file that is truncated, inconsistent, unsafe or not int8, and `UnsupportedOperators` with every
    operator that has no kernel.
    """
    model = parse(data)
    _require_int8(model)
    found = [problem for op in model.ops for problem in problems(op)]
    if found:
        raise UnsupportedOperators(found)
    try:
        return build_graph(model, name)
    except GraphError as error:
        raise BadModel(f"the model is inconsistent: {error}") from error


def _require_int8(model: FileModel) -> None:
    """Refuse every tensor that an operator or the model's boundary uses and that is neither int8 nor int32."""
    used = [*model.inputs, *model.outputs, *(t for op in model.ops for t in (*op.inputs, *op.outputs) if t is not None)]
    wrong = {t.index: t for t in used if t.type not in (ElementType.INT8, ElementType.INT32)}
    if wrong:
        listed = ", ".join(f"{t.source_name!r} ({t.type.name})" for t in list(wrong.values())[:4])
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise BadModel(f"not an int8 model: tensors {listed}{more}; quantize it fully, input and output included")
    for tensor in used:
        if tensor.type is ElementType.INT8 and tensor.quantization is None:
            raise BadModel(f"{tensor.label} is int8 without a scale")
