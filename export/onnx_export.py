"""Any `nn.Module` -> a lean float ONNX model: static shapes, no BatchNormalization, short stable names, same input same bytes.

Nodes carry the path of the module that they come from ("block3.expand.conv"), a value the name of its node.
"""

from __future__ import annotations

import ast
import copy
import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from onnx_ir import passes
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants
from torch import nn

from ..errors import BadModel, OutputFailed

Doubles = npt.NDArray[np.float64]

OPSET = 20
PRODUCER = "flynet-tiny"
_SCOPES = "pkg.torch.onnx.name_scopes"
_WEIGHTED = {"Conv": ("weight", "bias"), "Gemm": ("weight", "bias"), "MatMul": ("weight",)}


def export_onnx(module: nn.Module, input_shape: Sequence[int], path: Path | str | None = None) -> bytes:
    """The ONNX file of a module in inference mode, also written to `path` if given (whole or not at all).

    input_shape  with the batch, e.g. (1, 3, 224, 224); it becomes static. The module is left as it was.
    Inputs are called "input", outputs "output" ("output_1", ... when there are several).
    BadModel when torch.onnx cannot express the module; OutputFailed when the file cannot be written.
    """
    model = copy.deepcopy(module).cpu().eval()
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                model, (torch.zeros(tuple(input_shape)),), dynamo=True, opset_version=OPSET, optimize=False, verbose=False
            )
        except torch.onnx.errors.OnnxExporterError as error:
            cause = str(error.__cause__ or error).strip().splitlines()
            raise BadModel(f"torch.onnx cannot export {type(module).__name__}: {cause[0] if cause else type(error)}") from error
        assert program is not None
        # constant folding alone: onnxscript's rewrite rules take four seconds for a FlyNet and find only the batch norms
        fold_constants(program.model, onnx_shape_inference=False)
        passes.Sequential(
            common.IdentityEliminationPass(),
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.RemoveUnusedNodesPass(),
        )(program.model)
    proto = program.model_proto
    for simplify in (_fold_batch_norm, _replace_batch_norm, _drop_zero_bias, _share_initializers, _rename, _strip):
        simplify(proto)
    onnx.checker.check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString(deterministic=True)
    if path is not None:
        _write_whole(Path(path), data)
    return data


def _fold_batch_norm(proto: onnx.ModelProto) -> None:
    """A BatchNormalization whose input is one convolution's or fully connected layer's alone goes into its weights and bias."""
    graph = proto.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    producers = {node.output[0]: node for node in graph.node}
    folded = []
    for node in graph.node:
        conv = producers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if conv is None or not _has_output_rows(conv) or uses[node.input[0]] > 1 or uses[conv.input[1]] > 1:
            continue
        gain, shift = _affine(node, tensors)
        weights = numpy_helper.to_array(tensors[conv.input[1]]).astype(np.float64)
        weights *= gain.reshape(-1, *[1] * (weights.ndim - 1))
        if len(conv.input) > 2:
            shift = shift + gain * numpy_helper.to_array(tensors[conv.input[2]])
        bias = f"{conv.output[0]}.bias"
        tensors[conv.input[1]].CopyFrom(numpy_helper.from_array(weights.astype(np.float32), conv.input[1]))
        graph.initializer.append(numpy_helper.from_array(shift.astype(np.float32), bias))
        _replace(conv.input, [*conv.input[:2], bias])
        conv.output[0] = node.output[0]
        folded.append(node)
    for node in folded:
        graph.node.remove(node)


def _has_output_rows(layer: onnx.NodeProto) -> bool:
    """Whether the first axis of a node's weights is that of its output channels: of a Conv, and of the Gemm of a Linear."""
    attributes = {attribute.name: attribute for attribute in layer.attribute}
    plain = all(attributes[name].f == 1.0 for name in ("alpha", "beta") if name in attributes)
    return layer.op_type == "Conv" or (
        layer.op_type == "Gemm" and plain and "transB" in attributes and attributes["transB"].i == 1
    )


def _replace_batch_norm(proto: onnx.ModelProto) -> None:
    """A BatchNormalization that no layer could take in becomes a 1x1 depthwise convolution, of a vector a product and a sum."""
    graph = proto.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        rank = len(_shape(graph, node.output[0]))
        gain, shift = _affine(node, tensors)
        data, result = node.input[0], node.output[0]
        weight, bias, scaled = f"{result}.weight", f"{result}.bias", f"{result}.scaled"
        weights = gain.astype(np.float32)
        if rank > 2:
            weights = weights.reshape(-1, *[1] * (rank - 1))
            made = [onnx.helper.make_node("Conv", [data, weight, bias], [result], node.name, group=len(gain))]
        else:
            made = [
                onnx.helper.make_node("Mul", [data, weight], [scaled], f"{node.name}.scaled"),
                onnx.helper.make_node("Add", [scaled, bias], [result], node.name),
            ]
        graph.initializer.append(numpy_helper.from_array(weights, weight))
        graph.initializer.append(numpy_helper.from_array(shift.astype(np.float32), bias))
        for part in made:
            part.metadata_props.extend(node.metadata_props)
        nodes += made
    _replace(graph.node, nodes)


def _drop_zero_bias(proto: onnx.ModelProto) -> None:
    """The exporter gives a convolution without bias one of zeros."""
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        biased = node.op_type == "Conv" and len(node.input) > 2 and node.input[2] in tensors
        if biased and not numpy_helper.to_array(tensors[node.input[2]]).any():
            del node.input[2]


def _affine(norm: onnx.NodeProto, tensors: Mapping[str, onnx.TensorProto]) -> tuple[Doubles, Doubles]:
    """The gain and the shift of each channel that a BatchNormalization is in inference."""
    epsilon = next((attribute.f for attribute in norm.attribute if attribute.name == "epsilon"), 1e-5)
    gain, shift, mean, variance = (numpy_helper.to_array(tensors[name]).astype(np.float64) for name in norm.input[1:5])
    gain = gain / np.sqrt(variance + epsilon)
    return gain, shift - mean * gain


def _share_initializers(proto: onnx.ModelProto) -> None:
    """Equal integer constants are one; unused ones are dropped."""
    graph = proto.graph
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    replaced: dict[str, str] = {}
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT64:
            key = (tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes())
            replaced[tensor.name] = first.setdefault(key, tensor.name)
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = replaced.get(name, name)
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])


def _rename(proto: onnx.ModelProto) -> None:
    """Nodes by their module's path, values by their node, weights by their consumer, integer constants by their values."""
    graph = proto.graph
    values = {value.name: name for value, name in zip(graph.input, _numbered("input", len(graph.input)), strict=True)}
    labels = _node_labels(graph)
    for node, label in zip(graph.node, labels, strict=True):
        node.name = label
        for position, name in enumerate(node.output):
            values[name] = label if position == 0 else f"{label}:{position}"
    for tensor in graph.initializer:
        values[tensor.name] = _initializer_label(graph, tensor)
    for value, name in zip(graph.output, _numbered("output", len(graph.output)), strict=True):
        values[value.name] = name
    for node in graph.node:
        for names in (node.input, node.output):
            _replace(names, [values[name] if name else "" for name in names])
    for named in (*graph.input, *graph.output, *graph.initializer):
        named.name = values[named.name]
    made = {name for node in graph.node for name in node.output} - {value.name for value in graph.output}
    infos = [info for info in graph.value_info if values.get(info.name) in made]
    for info in infos:
        info.name = values[info.name]
    _replace(graph.value_info, infos)


def _node_labels(graph: onnx.GraphProto) -> list[str]:
    """A module's only node has the module's path; several in one module add the operation's name, numbered from the second on."""
    scopes: list[tuple[str, str]] = []
    for node in graph.node:
        found = next((prop.value for prop in node.metadata_props if prop.key == _SCOPES), "[]")
        path = [str(part) for part in ast.literal_eval(found)]
        word = re.sub(r"_\d+$", "", path[-1]).strip("_") if path else node.op_type.lower()
        scopes.append((path[-2] if len(path) > 1 else "", word))
    in_module = Counter(module for module, _ in scopes)
    used: Counter[str] = Counter()
    labels = []
    for module, word in scopes:
        label = module if module and in_module[module] == 1 else f"{module}.{word}".strip(".")
        used[label] += 1
        labels.append(label if used[label] == 1 else f"{label}_{used[label] - 1}")
    return labels


def _initializer_label(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> str:
    if tensor.data_type == onnx.TensorProto.INT64 and len(tensor.dims) == 1:
        return "ints_" + "_".join(str(value) for value in numpy_helper.to_array(tensor))
    node, position = next((node, list(node.input).index(tensor.name)) for node in graph.node if tensor.name in node.input)
    parts = _WEIGHTED.get(node.op_type, ())
    return f"{node.name}.{parts[position - 1]}" if 0 < position <= len(parts) else f"{node.name}.constant{position}"


def _strip(proto: onnx.ModelProto) -> None:
    """Nothing stays that names a machine, a tool's build or a source file."""
    proto.producer_name, proto.producer_version, proto.doc_string = PRODUCER, "", ""
    graph = proto.graph
    graph.name, graph.doc_string = "main", ""
    del proto.metadata_props[:], graph.metadata_props[:], proto.functions[:]
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    for node in graph.node:
        _replace(node.attribute, sorted(node.attribute, key=lambda attribute: attribute.name))
    for opset in [opset for opset in proto.opset_import if opset.domain]:
        proto.opset_import.remove(opset)


def _replace(field: Any, items: Iterable[Any]) -> None:
    """Set a repeated protobuf field, whose messages cannot be assigned."""
    kept = [copy.copy(item) for item in items]
    del field[:]
    field.extend(kept)


def _shape(graph: onnx.GraphProto, name: str) -> tuple[int, ...]:
    value = next(value for value in (*graph.value_info, *graph.output) if value.name == name)
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _numbered(name: str, count: int) -> list[str]:
    return [name if index == 0 else f"{name}_{index}" for index in range(count)]


def _write_whole(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise OutputFailed(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter tells of its own inner life: notes about torchvision, deprecations inside torch."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
