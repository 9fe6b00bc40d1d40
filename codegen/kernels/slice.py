"""SLICE and STRIDED_SLICE: a nest of loops over the output, with neighbouring axes merged."""

from __future__ import annotations

from ..ir import Graph, Op, SliceAttrs
from .base import KernelCall, RowSchedule


def select(op: Op, graph: Graph) -> KernelCall:
    """The kernel call of a SLICE or STRIDED_SLICE; strides may be negative."""
    assert isinstance(op.attrs, SliceAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    start, stride = 0, 1
    axes: list[tuple[int, int]] = []  # output size, step in elements of the input; innermost first
    rows = zip(source.shape, output.shape, op.attrs.begin, op.attrs.strides, strict=True)
    for size, count, begin, step in reversed(list(rows)):
        start += begin * stride
        if count > 1:
            if axes and step * stride == axes[-1][0] * axes[-1][1]:
                axes[-1] = (axes[-1][0] * count, axes[-1][1])
            else:
                axes.append((count, step * stride))
        stride *= size
    run, run_step = axes[0] if axes else (1, 1)
    outer = axes[:0:-1]
    moves_down = all(step > 0 for _, step in axes)
    return KernelCall(
        template="slice",
        shape={
            "start": start,
            "sizes": tuple(size for size, _ in outer),
            "strides": tuple(step for _, step in outer),
            "run": run,
            "run_step": run_step,
        },
        inputs=(source.name,),
        outputs=(op.output,),
        sharing={source.name: RowSchedule((output.num_elements,), (source.num_elements,))} if moves_down else {},
    )
