"""The compiler's floors as text, for `--emit ir` and `--emit plan`."""

from __future__ import annotations

from .c_format import shape_text
from .compiler import Compiled
from .ir import FusedAttrs, Graph, Op, Tensor


def format_graph(graph: Graph) -> str:
    """One line a tensor that goes in, one line an operator; the steps of a fused operator are indented below it."""
    lines = [f"graph {graph.name}({', '.join(_tensor(graph.tensor(n)) for n in graph.inputs)}) {{"]
    for op in graph.ops:
        lines.append(f"  {_op(op, graph)}")
        if isinstance(op.attrs, FusedAttrs):
            lines += [f"      {_op(step, graph)}" for step in op.attrs.body]
    lines += [f"  return {', '.join(graph.outputs)}", "}"]
    return "\n".join(lines) + "\n"


def _op(op: Op, graph: Graph) -> str:
    outputs = ", ".join(_tensor(graph.tensor(name)) for name in op.outputs)
    inputs = ", ".join(_operand(graph.tensor(name)) for name in op.inputs)
    attrs = "" if isinstance(op.attrs, FusedAttrs) else str(op.attrs).replace(type(op.attrs).__name__, "", 1)
    return f"{outputs} = {op.kind_name}({inputs})" + (f" {attrs}" if attrs not in ("", "()") else "")


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.name}: {tensor.dtype.value}{shape_text(tensor.shape)} scale {tensor.scale:.6g} zero {tensor.zero_point}"


def _operand(tensor: Tensor) -> str:
    return f"{tensor.dtype.value}{shape_text(tensor.shape)}" if tensor.is_constant else tensor.name


def format_plan(compiled: Compiled) -> str:
    """Every buffer with its offset, size and lifetime, then the kernel calls in order."""
    plan, calls = compiled.plan, compiled.calls
    lines = [
        f"arena {plan.arena_bytes} bytes, most live at one time {plan.lower_bound_bytes}",
        "",
        "  offset     bytes  calls      buffer",
    ]
    for buffer in sorted(plan.lifetimes.buffers, key=lambda b: (b.first, b.name)):
        span = f"{buffer.first}..{buffer.last}"
        lines.append(f"{plan.offsets[buffer.name]:>8}  {buffer.size_bytes:>8}  {span:<10} {buffer.name}")
    lines += ["", "call  kernel"]
    ops = compiled.library.ops
    kinds, functions = max(len(op.kind) for op in ops), max(len(op.function) for op in ops)
    for op, call in zip(ops, calls, strict=True):
        tensors = f"{', '.join(call.inputs)} -> {', '.join(call.outputs)}"
        lines.append(f"{op.index:>4}  {op.kind:<{kinds}}  {op.function:<{functions}}  {tensors}")
    return "\n".join(lines) + "\n"
