"""What torch.onnx tells of a node's place in its module: the path that messages and tensors are named by. No torch here."""

from __future__ import annotations

import ast
import re
from collections import Counter

import onnx

_SCOPES = "pkg.torch.onnx.name_scopes"
_MOST_CHARACTERS = 10_000  # of what one node tells of its place


def has_module_paths(graph: onnx.GraphProto) -> bool:
    """Whether every node says of which module it is."""
    return bool(graph.node) and all(any(prop.key == _SCOPES for prop in node.metadata_props) for node in graph.node)


def node_labels(graph: onnx.GraphProto) -> list[str]:
    """A module's only node has the module's path; several in one module add the operation's name, numbered from the second on."""
    scopes: list[tuple[str, str]] = []
    for node in graph.node:
        path = _scopes(node)
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


def _scopes(node: onnx.NodeProto) -> list[str]:
    """The names of the modules around a node and its own; none where what stands there is not a list of texts."""
    found = next((prop.value for prop in node.metadata_props if prop.key == _SCOPES), "[]")
    if len(found) > _MOST_CHARACTERS:
        return []
    try:
        parts = ast.literal_eval(found)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return []
    return [str(part) for part in parts] if isinstance(parts, list | tuple) else []
