"""What each kernel call costs: multiply-accumulates, constants as the model has them and as flash holds them, instructions."""

from __future__ import annotations

from collections.abc import Sequence

from ..codegen.compiler import Compiled
from ..codegen.ir import FusedAttrs, Graph, Op
from ..codegen.kernels.parameters import Role
from .layer_names import layer_title
from .schema import Layer


def layers_of(compiled: Compiled, instructions: Sequence[int] | None) -> tuple[Layer, ...]:
    """One entry for each kernel call, in order. An array that several layers share is counted in the first one.

    instructions  of each call, where they were counted
    """
    seen: set[tuple[str, bytes]] = set()
    known: set[str] = set()
    layers = []
    for index, (op, call, emitted) in enumerate(zip(compiled.ops, compiled.calls, compiled.library.ops, strict=True)):
        weights_bytes = tables_bytes = 0
        for array in (p for p in call.parameters.flat() if p.role is Role.ARRAY):
            key = (array.value.dtype.name, array.value.tobytes())
            if key not in seen:
                seen.add(key)
                if array.is_weights:
                    weights_bytes += array.value.nbytes
                else:
                    tables_bytes += array.value.nbytes
        constants = _constants(op, compiled.graph) - known
        known |= constants
        output = compiled.graph.tensor(op.output)
        layers.append(
            Layer(
                op=op.kind_name,
                name=op.output,
                title=layer_title(output.source_name, op.kind_name),
                kernel=emitted.function.removeprefix(f"{compiled.library.name}_"),
                macs=emitted.macs,
                parameter_bytes=sum(compiled.graph.tensor(name).size_bytes for name in constants),
                weights_bytes=weights_bytes,
                tables_bytes=tables_bytes,
                instructions=None if instructions is None else instructions[index],
                stored=call.parameters.stored,
            )
        )
    return tuple(layers)


def _constants(op: Op, graph: Graph) -> set[str]:
    """The constants that an operator reads, those of a fused one's steps included."""
    if isinstance(op.attrs, FusedAttrs):
        return {name for step in op.attrs.body for name in _constants(step, graph)}
    return {name for name in op.inputs if graph.tensor(name).is_constant}
