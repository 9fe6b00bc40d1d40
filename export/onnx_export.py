"""Any `nn.Module` -> a lean float ONNX model: static shapes, no BatchNormalization, short stable names, same input same bytes.

Nodes carry the path of the module that they come from ("block3.expand.conv"), a value the name of its node.
"""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from onnx_ir import passes
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants
from torch import nn

from ..errors import BadModel, OutputFailed
from .batch_norm import drop_zero_bias, fold_batch_norm, replace_batch_norm, replace_field
from .module_paths import node_labels
from .onnx_file import PRODUCER

OPSET = 20
_WEIGHTED = {"Conv": ("weight", "bias"), "Gemm": ("weight", "bias"), "MatMul": ("weight",)}


def export_onnx(module: nn.Module, input_shape: Sequence[int], path: Path | str | None = None) -> bytes:
    """The ONNX file of a module in inference mode, also written to `path` if given (whole or not at all).

    input_shape  with the batch, e.g. (1, 3, 224, 224); it becomes static. The module is left as it was.
    The input is called "input", outputs "output" ("output_1", ... when there are several).
    BadModel when torch.onnx cannot express the module; OutputFailed when the file cannot be written.
    """
    data = export_module(module, (torch.zeros(tuple(input_shape)),))
    if path is not None:
        _write_whole(Path(path), data)
    return data


def export_module(module: nn.Module, examples: Sequence[torch.Tensor]) -> bytes:
    """The same of a module with several inputs, which are called as its `forward` calls them; their shapes become static."""
    model = copy.deepcopy(module).cpu().eval()
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(model, tuple(examples), dynamo=True, opset_version=OPSET, optimize=False, verbose=False)
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
    for simplify in (fold_batch_norm, replace_batch_norm, drop_zero_bias, _share_initializers, _rename, _strip):
        simplify(proto)
    onnx.checker.check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


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
    replace_field(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])


def _rename(proto: onnx.ModelProto) -> None:
    """Nodes by their module's path, values by their node, weights by their consumer, integer constants by their values."""
    graph = proto.graph
    values = {value.name: value.name if len(graph.input) > 1 else "input" for value in graph.input}
    labels = node_labels(graph)
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
            replace_field(names, [values[name] if name else "" for name in names])
    for named in (*graph.input, *graph.output, *graph.initializer):
        named.name = values[named.name]
    made = {name for node in graph.node for name in node.output} - {value.name for value in graph.output}
    infos = [info for info in graph.value_info if values.get(info.name) in made]
    for info in infos:
        info.name = values[info.name]
    replace_field(graph.value_info, infos)


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
        replace_field(node.attribute, sorted(node.attribute, key=lambda attribute: attribute.name))
    for opset in [opset for opset in proto.opset_import if opset.domain]:
        proto.opset_import.remove(opset)


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
