"""Anybody's float ONNX file -> a file as this room's passes want it, and its graph. No torch here.

What comes out is a float model with static shapes and a batch of 1, without functions, constant branches and batch norms that a
layer can take in, in a recent opset. Every other source of a float network (torch, a float `.tflite`) ends in such a file too:
`tflite_export` takes its bytes.

The file is a stranger's: what it says of its size, its other files and its functions is checked before anything runs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.inliner import inline_local_functions

from ..errors import BadModel, UnsupportedOperators
from ..quoting import shorten, visible
from .batch_norm import drop_zero_bias, fold_batch_norm, replace_field
from .module_paths import has_module_paths, node_labels
from .onnx_file import onnx_file
from .onnx_graph import Array, Node, OnnxGraph, Shape, array_of, check, fold_constants, graph_of, node_of, opset_of

ReadExternal = Callable[[str], bytes]  # the content of a file that the model names as the place of its weights

MOST_ELEMENTS = 1 << 28  # of any value: a GiB of float32
MOST_NODES = 100_000
ONLY_INPUT = ""  # in a mapping of shapes: the shape of the only input, whatever its name
_BATCH = 1
_SHOWN = 60
_FLOAT = onnx.TensorProto.FLOAT
_BRANCHES = ("else_branch", "then_branch")


@dataclass(frozen=True, eq=False)
class ImportedOnnx:
    """A float network.

    onnx        the file that the passes take;  graph  the same, loaded
    opset, producer  of the file as it was given
    """

    onnx: bytes
    graph: OnnxGraph
    opset: int
    producer: str

    @property
    def parameters(self) -> int:
        """Weights, biases and other float constants."""
        return sum(value.size for value in self.graph.constants.values() if value.dtype == np.float32)


def import_onnx(
    data: bytes, shapes: Mapping[str, Shape] | None = None, read_external: ReadExternal | None = None
) -> ImportedOnnx:
    """The float network in an ONNX file's bytes.

    shapes         of inputs with dynamic axes, by name, or under `ONLY_INPUT`; the first axis of each is the batch, which is 1
    read_external  gives what the model keeps in other files; without it such a model is refused
    Raises BadModel, and UnsupportedOperators with all nodes that are of other domains or hold loops.
    """
    model = _parsed(data)
    producer, opset = model.producer_name, opset_of(model)
    if not opset:
        raise BadModel("the model does not say of which opset its operators are")
    _embed_external(model, read_external)
    if has_module_paths(model.graph):
        _name_by_modules(model.graph)
    _drop_constant_inputs(model.graph)
    given_batches = _fix_shapes(model.graph, shapes or {})
    check(model)
    model = _without_functions(model)
    _require_own_operators(model.graph)
    _require_size(model)
    graph = _without_branches(graph_of(model))
    folded = onnx.load_from_string(onnx_file(graph))
    fold_batch_norm(folded)
    drop_zero_bias(folded)
    graph = graph_of(folded)
    imported = ImportedOnnx(onnx_file(graph), graph, opset, producer)
    if any(batch != _BATCH for batch in given_batches.values()):
        _require_same_in_batches(data, read_external, given_batches, imported.graph)
    return imported


def _parsed(data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # protobuf's DecodeError has no stable home
        if type(error).__name__ != "DecodeError":
            raise
        raise BadModel("not an ONNX model: the file is truncated or of another kind") from error
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise BadModel("not an ONNX model: it has no graph")
    if not model.graph.node:
        raise BadModel("the model has no operators")
    if not _is_text(model):
        raise BadModel("not an ONNX model: it holds names that are not text in UTF-8")
    if model.graph.sparse_initializer:
        raise BadModel("the model has sparse weights; save them as plain ones")
    return model


def _is_text(message: Any) -> bool:
    """Whether all texts of a protobuf message are texts: those that are not come as bytes."""
    for field, value in message.ListFields():
        values = [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING and not all(isinstance(text, str) for text in values):
            return False
        if field.type == field.TYPE_MESSAGE and not all(_is_text(inner) for inner in values):
            return False
    return True


def _embed_external(model: onnx.ModelProto, read: ReadExternal | None) -> None:
    """Bring the weights that lie in other files home."""
    for tensor in _all_tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        name = shorten(visible(tensor.name), _SHOWN)
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if read is None:
            raise BadModel(f"the weights {name!r} lie in another file; save the model with its weights inside")
        content = read(entries.get("location", ""))
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", str(len(content) - offset)))
        except ValueError as error:
            raise BadModel(f"the place of the weights {name!r} is not a number") from error
        if offset < 0 or length < 0 or offset + length > len(content):
            raise BadModel(
                f"the weights {name!r} lie at {offset:,} to {offset + length:,} of {visible(entries.get('location', ''))!r}, "
                f"which has {len(content):,} bytes"
            )
        tensor.raw_data = content[offset : offset + length]
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        yield from graph.initializer
        yield from _node_tensors(graph.node, graphs)
    for function in model.functions:
        inner: list[onnx.GraphProto] = []
        yield from _node_tensors(function.node, inner)
        graphs += inner
    while graphs:
        graph = graphs.pop()
        yield from graph.initializer
        yield from _node_tensors(graph.node, graphs)


def _node_tensors(nodes: Sequence[onnx.NodeProto], graphs: list[onnx.GraphProto]) -> Iterator[onnx.TensorProto]:
    """Tensors among the attributes of nodes; their subgraphs are added to `graphs`."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("g"):
            graphs.append(attribute.g)
        graphs.extend(attribute.graphs)


def _drop_constant_inputs(graph: onnx.GraphProto) -> None:
    """Old files list their weights among the inputs, so that a caller could replace them."""
    constants = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(kept)


def _name_by_modules(graph: onnx.GraphProto) -> None:
    """Nodes by the path of their module, and values by their node."""
    labels = node_labels(graph)
    ends = {value.name for value in (*graph.input, *graph.output)}
    taken = ends | {tensor.name for tensor in graph.initializer} | {name for node in graph.node for name in node.output}
    values = {
        node.output[0]: label
        for node, label in zip(graph.node, labels, strict=True)
        if node.output and node.output[0] not in ends and label not in taken
    }
    has_subgraphs = any(attribute.HasField("g") for node in graph.node for attribute in node.attribute)
    for node, label in zip(graph.node, labels, strict=True):
        node.name = label
        if not has_subgraphs:  # which read values by the names that they have
            for names in (node.input, node.output):
                replace_field(names, [values.get(name, name) for name in names])


def _fix_shapes(graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Give every input a static shape with a batch of 1, forget what the file says of the rest; the batches that it had."""
    names = [value.name for value in graph.input]
    shown = ", ".join(shorten(visible(name), _SHOWN) for name in names)
    if ONLY_INPUT in shapes and len(names) != 1:
        raise BadModel(f"the model has {len(names)} inputs ({shown}); say which one a shape is of: NAME=1,3,96,96")
    for name in shapes:
        if name != ONLY_INPUT and name not in names:
            raise BadModel(f"the model has no input {name!r}; it has {shown or 'none'}")
    batches = {}
    for value in graph.input:
        batches[value.name] = _fix_shape(value, shapes.get(value.name, shapes.get(ONLY_INPUT)))
    del graph.value_info[:]
    for value in graph.output:  # of the right rank, of any size
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()
    return batches


def _fix_shape(value: onnx.ValueInfoProto, given: Shape | None) -> int:
    """Set one input's shape; the batch that it had, 1 where that was free."""
    name, tensor = shorten(visible(value.name), _SHOWN), value.type.tensor_type
    if tensor.elem_type != _FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower() if tensor.elem_type else "no tensor"
        raise BadModel(f"input {name!r} is {kind}; only float32 inputs can be quantized")
    dims = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim]
    axes = [str(dim.dim_value) if dim.HasField("dim_value") else visible(dim.dim_param) or "?" for dim in tensor.shape.dim]
    if not tensor.HasField("shape") and given is not None:
        dims, axes = [0] * len(given), ["?"] * len(given)
    written = f"[{', '.join(axes)}]"
    if not dims:
        raise BadModel(f"input {name!r} has no shape in the file; say it with --input, e.g. 1,3,96,96")
    if given is not None and len(given) != len(dims):
        raise BadModel(f"input {name!r} is {written} in the file; --input gives {len(given)} axes")
    if given is not None and given[0] != _BATCH:
        raise BadModel(f"input {name!r} gets a batch of {given[0]} by --input; a microcontroller takes one at a time: write 1")
    batch, rest = dims[0] or _BATCH, dims[1:]
    for axis, size in enumerate(rest, start=1):
        wanted = size if given is None else given[axis]
        if size <= 0 and given is None:
            example = ",".join(["1", *(str(s) if s > 0 else a for s, a in zip(rest, axes[1:], strict=True))])
            raise BadModel(f"input {name!r} is {written}: say its free axes with --input, as {example}")
        if size > 0 and wanted != size:
            raise BadModel(f"input {name!r} is {written} in the file; --input says {wanted} for the fixed {size}")
        if wanted < 1:
            raise BadModel(f"input {name!r} gets an axis of {wanted} by --input")
        rest[axis - 1] = wanted
    value.type.CopyFrom(helper.make_tensor_type_proto(_FLOAT, [_BATCH if len(dims) > 1 else batch, *rest]))
    return batch if len(dims) > 1 else _BATCH


def _without_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its own functions written out, unless they call each other in circles or grow beyond reason."""
    if not model.functions:
        return model
    bodies = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], around: tuple[tuple[str, str], ...]) -> int:
        if key in around:
            raise BadModel(f"its function {visible(key[1])!r} calls itself")
        if key not in sizes:
            calls = [(node.domain, node.op_type) for node in bodies[key].node]
            sizes[key] = sum(size(call, (*around, key)) if call in bodies else 1 for call in calls)
        return sizes[key]

    calls = [(node.domain, node.op_type) for node in model.graph.node]
    if sum(size(call, ()) if call in bodies else 1 for call in calls) > MOST_NODES:
        raise BadModel(f"its functions have more than {MOST_NODES:,} operators when they are written out")
    return inline_local_functions(model)


def _require_own_operators(graph: onnx.GraphProto) -> None:
    """Refuse, all at once, what is not of ONNX's own operators, and loops."""
    found = []
    for node in graph.node:
        name = shorten(visible(node.name or (node.output[0] if node.output else "")), _SHOWN)
        if node.domain not in ("", "ai.onnx"):
            found.append(f"{visible(node.op_type)} {name!r} (of domain {visible(node.domain)!r}; export plain ONNX operators)")
        elif node.op_type in ("Loop", "Scan"):
            found.append(f"{node.op_type} {name!r} (a loop; unroll it, or export one step)")
    if found:
        raise UnsupportedOperators(found)


def _require_size(model: onnx.ModelProto) -> None:
    """Refuse values that no microcontroller will hold, before onnxruntime makes them."""
    if len(model.graph.node) > MOST_NODES:
        raise BadModel(f"the model has {len(model.graph.node):,} operators; at most {MOST_NODES:,} are read")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise BadModel(f"its shapes contradict each other: {visible(str(error).strip().splitlines()[0])}") from error
    model.graph.CopyFrom(inferred.graph)  # the converter of opsets asks for shapes
    for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output):
        elements = math.prod(dim.dim_value for dim in value.type.tensor_type.shape.dim if dim.HasField("dim_value"))
        if elements > MOST_ELEMENTS:
            raise BadModel(
                f"{shorten(visible(value.name), _SHOWN)!r} has {elements:,} elements; no microcontroller holds as many"
            )


def _without_branches(graph: OnnxGraph) -> OnnxGraph:
    """The graph with the branch of each If whose condition is known: torch writes such for shapes that are fixed now."""
    while True:
        found = [node for node in graph.nodes if node.op == "If"]
        known = [node for node in found if node.inputs[0] in graph.constants]
        if not known:
            break
        constants: dict[str, Array] = {}
        nodes: list[Node] = []
        for node in graph.nodes:
            nodes += _branch(node, bool(graph.constants[node.inputs[0]]), constants) if node in known else [node]
        graph = fold_constants(graph.rewritten(nodes, constants))
    if found:
        raise UnsupportedOperators([f"{node.label} (its condition depends on the input)" for node in found])
    return graph


def _branch(node: Node, condition: bool, constants: dict[str, Array]) -> list[Node]:
    branch: onnx.GraphProto = node.attrs[_BRANCHES[condition]]
    constants.update({tensor.name: array_of(tensor) for tensor in branch.initializer})
    given = [value.name for value in branch.output]
    ends = [Node("Identity", (inner,), (outer,)) for inner, outer in zip(given, node.outputs, strict=True)]
    return [*(node_of(inner) for inner in branch.node), *ends]


def _require_same_in_batches(
    data: bytes, read_external: ReadExternal | None, batches: Mapping[str, int], graph: OnnxGraph
) -> None:
    """A model with a fixed batch, made 1, must compute for one input what it computes for each of a batch."""
    model = _parsed(data)
    _embed_external(model, read_external)
    random = np.random.default_rng(0)
    feeds = {name: random.normal(size=(batches[name], *graph.shapes[name][1:])).astype(np.float32) for name in graph.inputs}
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_outputs()]
        together = dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:  # onnxruntime's exceptions share no base but Exception
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise BadModel(f"onnxruntime cannot run the model as it is: {visible(str(error).splitlines()[0])}") from error
    alone = graph.session(graph.outputs).run(list(graph.outputs), {name: value[:1] for name, value in feeds.items()})
    for name, one in zip(graph.outputs, alone, strict=True):
        expected = together[name][:1] if together[name].ndim else together[name]
        if one.shape != expected.shape or not np.allclose(one, expected, rtol=1e-3, atol=1e-4 * (1 + np.abs(expected).max())):
            raise BadModel(
                f"the model was saved for a batch of {max(batches.values())}, and its operators hold that; export it with 1"
            )
