"""What LiteRT refuses to load though its kernels would compute it: a copy of the file that says the same in LiteRT's form.

LiteRT's loader wants as many scales as the quantized axis has elements; its kernels take the n-th scale for the n-th output
channel and never read a bias' scales. TensorFlow 1's converter wrote biases with the axis of the weights, and its files (the
person detector of TFLite Micro) no longer load. Some kernels want int32 where their neighbours take int64, and some files name
a version of an operator that LiteRT does not know, or hold subgraphs that nothing calls with operators that it does not know.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..codegen.reading.channel_axes import CHANNEL_AXIS

MAX_TABLES = 50_000  # several times those of the longest model that is read
_INT32_ONLY = frozenset({"RESHAPE", "TRANSPOSE", "MEAN", "REDUCE_MAX", "STRIDED_SLICE", "EXPAND_DIMS"})


def for_litert(model: bytes, refusal: str) -> tuple[bytes, str] | None:
    """A copy that LiteRT may take after its refusal of the file, and what was changed; None where nothing of that kind is odd."""
    try:
        tables = schema.Model.GetRootAs(model, 0)
        if _is_more_than_it_seems(tables, len(model)):
            return None
        copy = schema.ModelT.InitFromObj(tables)
        graph = copy.subgraphs[0]
        calls = any(_opcode(copy, op) == "CALL_ONCE" for op in graph.operators)
        if len(copy.subgraphs) > 1 and not calls:
            copy.subgraphs, copy.signatureDefs = [graph], None
            used = sorted({op.opcodeIndex for op in graph.operators})
            copy.operatorCodes = [copy.operatorCodes[i] for i in used]
            for op in graph.operators:
                op.opcodeIndex = used.index(op.opcodeIndex)
            return _packed(copy, len(model)), "the main subgraph alone"
        unknown = re.search(r"builtin opcode '(\w+)' version '(\d+)'", refusal)
        if unknown is not None:
            version = int(unknown[2]) // 2
            if version < 1 or not _set_version(copy, unknown[1], int(unknown[2]), version):
                return None
            return _packed(copy, len(model)), f"{unknown[1]} in version {version}"
        axes, indices = _mend_axes(copy, graph), _narrow(copy, graph)
    except (struct.error, ValueError, IndexError, TypeError, AttributeError):
        return None  # the reader took it; what LiteRT makes of it, LiteRT says
    if not axes and not indices:
        return None
    found = []
    if axes:
        found.append(f"the quantized axis of {axes} tensor{'s' * (axes != 1)} named as its loader wants it")
    if indices:
        found.append(f"{indices} int64 operand{'s' * (indices != 1)} in int32")
    return _packed(copy, len(model)), " and ".join(found)


def _is_more_than_it_seems(model: Any, size_bytes: int) -> bool:
    """Whether a copy, in which every table is written out, could be far larger than the file, whose tables may be shared.

    The reader looks only at what the main subgraph mentions; unpacking looks at everything.
    """
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    signatures = [model.SignatureDefs(i) for i in range(min(model.SignatureDefsLength(), MAX_TABLES))]
    counts = [model.OperatorCodesLength(), model.BuffersLength(), model.MetadataLength(), model.SignatureDefsLength()]
    counts += [length for graph in graphs for length in (graph.TensorsLength(), graph.OperatorsLength())]
    counts += [length for signature in signatures for length in (signature.InputsLength(), signature.OutputsLength())]
    if sum(counts) > MAX_TABLES:
        return True
    if sum(model.Buffers(i).DataLength() for i in range(model.BuffersLength())) > size_bytes:
        return True
    tensors = (graph.Tensors(i) for graph in graphs for i in range(graph.TensorsLength()))
    return any(tensor.Sparsity() is not None or tensor.VariantTensorsLength() for tensor in tensors)


def _packed(copy: Any, size_bytes: int) -> bytes:
    builder = flatbuffers.Builder(size_bytes)
    builder.Finish(copy.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _set_version(model: Any, opcode: str, old: int, new: int) -> bool:
    """A version of an operator only says which of its forms the file uses; a kernel that has not this one may have its forms."""
    number = vars(schema.BuiltinOperator).get(opcode)
    found = [c for c in model.operatorCodes if max(c.builtinCode, c.deprecatedBuiltinCode) == number and c.version == old]
    for code in found:
        code.version = new
    return bool(found)


def _opcode(model: Any, op: Any) -> str:
    code = model.operatorCodes[op.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return next((name for name, value in vars(schema.BuiltinOperator).items() if value == number), "")


def _mend_axes(model: Any, graph: Any) -> int:
    """Give weights their operator's axis, and biases axis 0, where the file's axis does not fit; how many were changed."""
    changed = 0
    for op in graph.operators or ():
        axis = CHANNEL_AXIS.get(_opcode(model, op))
        if axis is None:
            continue
        for place, wanted in ((1, axis), (2, 0)):
            if place < len(op.inputs) and op.inputs[place] >= 0:
                changed += _mend_axis(graph.tensors[op.inputs[place]], wanted)
    return changed


def _mend_axis(tensor: Any, wanted: int) -> bool:
    q, shape = tensor.quantization, tensor.shape
    if q is None or q.scale is None or shape is None:
        return False
    count, axis = len(q.scale), q.quantizedDimension
    if 0 <= axis < len(shape) and count in (0, 1, shape[axis]):
        return False
    if count in (0, 1):
        q.quantizedDimension = 0
    elif wanted < len(shape) and shape[wanted] == count:
        q.quantizedDimension = wanted
    else:
        fitting = [i for i, size in enumerate(shape) if size == count]
        if not fitting:
            return False
        q.quantizedDimension = fitting[0]
    return True


def _narrow(model: Any, graph: Any) -> int:
    """Make constant int64 operands int32 where LiteRT's kernel takes nothing else; how many were changed."""
    changed = 0
    for op in graph.operators or ():
        if _opcode(model, op) not in _INT32_ONLY:
            continue
        for index in op.inputs[1:]:
            tensor = graph.tensors[index] if index >= 0 else None
            if tensor is None or tensor.type != schema.TensorType.INT64:
                continue
            data = model.buffers[tensor.buffer].data
            if data is None or not len(data):
                continue
            values = np.frombuffer(bytes(data), np.int64)
            if not np.array_equal(values.astype(np.int32), values):
                continue
            model.buffers.append(schema.BufferT(data=np.frombuffer(values.astype(np.int32).tobytes(), np.uint8)))
            tensor.buffer, tensor.type = len(model.buffers) - 1, schema.TensorType.INT32
            changed += 1
    return changed
