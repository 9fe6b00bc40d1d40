"""One-operator graphs of everything but convolutions, straight in the IR, and the fused chains of the attention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flynet_tiny.codegen.build import DEFAULT_BUILD, Build
from flynet_tiny.codegen.ir import (
    Attrs,
    ClampAttrs,
    DType,
    FusedAttrs,
    FusedPattern,
    GatherAttrs,
    Graph,
    NoAttrs,
    Op,
    OpKind,
    Quantization,
    ReduceAttrs,
    Tensor,
)
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.verify_graph import verify_graph

from .kernel_runner import KernelCase, case_of

Rng = np.random.Generator
Int8 = npt.NDArray[np.int8]
Shape = tuple[int, ...]
Quant = tuple[float, int]

EXTREME_ZERO_POINTS = (-128, 127, 0)


def random_quant(rng: Rng, low: float = 0.002, high: float = 0.2) -> Quant:
    """A scale, sometimes a power of two so that ties occur, and a zero point, often an extreme one."""
    scale = float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))
    if rng.random() < 0.25:
        scale = 2.0 ** round(np.log2(scale))
    zero_point = int(rng.choice(EXTREME_ZERO_POINTS)) if rng.random() < 0.4 else int(rng.integers(-128, 128))
    return scale, zero_point


def int8_tensor(name: str, shape: Sequence[int], quant: Quant, data: Int8 | None = None) -> Tensor:
    """An int8 tensor; a constant when it has data."""
    scale, zero_point = quant
    return Tensor(name, tuple(shape), DType.INT8, Quantization((float(np.float32(scale)),), (zero_point,)), data)


def graph_of(op: Op, tensors: Sequence[Tensor]) -> Graph:
    """The verified graph of one operator."""
    inputs = tuple(t.name for t in tensors if t.name in op.inputs and not t.is_constant)
    return verify_graph(Graph("net", {t.name: t for t in tensors}, (op,), inputs, op.outputs))


def unary_graph(
    kind: OpKind, shape: Shape, source: Quant, result_shape: Shape, result: Quant, attrs: Attrs | None = None
) -> Graph:
    """An operator of one tensor, `x` to `y`."""
    tensors = [int8_tensor("x", shape, source), int8_tensor("y", result_shape, result)]
    return graph_of(Op(kind, ("x",), ("y",), attrs or NoAttrs()), tensors)


def binary_graph(
    kind: OpKind,
    shapes: tuple[Shape, Shape],
    quants: tuple[Quant, Quant],
    result: Quant,
    bounds: tuple[int, int] = (-128, 127),
    constant: Int8 | None = None,
    constant_first: bool = False,
) -> Graph:
    """An operator of two broadcast tensors, `x` and `z` to `y`; one of them may be constant."""
    has_clamp = kind in (OpKind.ADD, OpKind.SUB, OpKind.MUL)
    first = int8_tensor("x", shapes[0], quants[0], constant if constant_first else None)
    second = int8_tensor("z", shapes[1], quants[1], None if constant_first else constant)
    output = int8_tensor("y", np.broadcast_shapes(*shapes), result)
    op = Op(kind, ("x", "z"), ("y",), ClampAttrs(*bounds) if has_clamp else NoAttrs())
    return graph_of(op, [first, second, output])


def result_quant(rng: Rng, kind: OpKind, left: Quant, right: Quant) -> Quant:
    """An output quantization that spreads the results over int8, sometimes one that saturates most of them."""
    a, b = left[0], right[0]
    typical = {
        OpKind.ADD: max(a, b),
        OpKind.SUB: max(a, b),
        OpKind.MUL: a * b * 80,
        OpKind.SQUARED_DIFFERENCE: max(a, b) ** 2 * 100,
        OpKind.MAXIMUM: a,
    }[kind]
    spread = 1.0 if rng.random() < 0.2 else float(np.exp(rng.uniform(-1, 1.5)))
    if rng.random() < 0.1 and kind is not OpKind.SQUARED_DIFFERENCE:
        spread /= 64
    scale = typical * spread
    if rng.random() < 0.2:
        scale = 2.0 ** round(np.log2(scale))
    if kind is OpKind.SQUARED_DIFFERENCE:
        scale = max(scale, 1.01 * 4 * max(a, b) ** 2 / (1 << 14))
    return scale, random_quant(rng)[1]


def mean_variance_graph(
    rng: Rng, h: int, w: int, c: int, finer_mean: float | None = None, square_steps: float | None = None
) -> Graph:
    """MEAN, SQUARED_DIFFERENCE, MEAN over a map, fused.

    finer_mean: scale of the map over scale of its mean; square_steps: scale of the squares over that of the map, squared
    """
    source = random_quant(rng)
    finer = finer_mean or float(np.exp(rng.uniform(-0.3, 2)))
    mean = (source[0] / finer, int(np.clip(round(source[1] * finer / 2), -128, 127)) if rng.random() < 0.8 else 0)
    square_steps = square_steps or float(np.exp(rng.uniform(0, 6)))
    square_scale = max(source[0] ** 2 * square_steps, 1.01 * 4 * max(source[0], mean[0]) ** 2 / (1 << 14))
    square = (square_scale, -128 if rng.random() < 0.6 else int(rng.integers(-128, 128)))
    variance = (square[0] * float(np.exp(rng.uniform(-2, 0.2))), -128 if rng.random() < 0.6 else int(rng.integers(-128, 128)))
    tensors = [
        int8_tensor("x", (1, h, w, c), source),
        int8_tensor("mean", (1, 1, 1, c), mean),
        int8_tensor("square", (1, h, w, c), square),
        int8_tensor("variance", (1, 1, 1, c), variance),
    ]
    spatial = ReduceAttrs((1, 2), keep_dims=True)
    body = (
        Op(OpKind.MEAN, ("x",), ("mean",), spatial),
        Op(OpKind.SQUARED_DIFFERENCE, ("x", "mean"), ("square",)),
        Op(OpKind.MEAN, ("square",), ("variance",), spatial),
    )
    fused = Op(OpKind.FUSED, ("x",), ("mean", "variance"), FusedAttrs(FusedPattern.MEAN_VARIANCE, body))
    return graph_of(fused, tensors)


def mul_max_graph(rng: Rng, h: int, w: int, c: int, heads: int, quants: tuple[Quant, Quant, Quant] | None = None) -> Graph:
    """MUL by coefficients of the heads, RESHAPE, REDUCE_MAX over the heads, RESHAPE, fused."""
    maps = random_quant(rng)
    coefficients = (1 / 256, -128) if rng.random() < 0.6 else random_quant(rng)
    scaled = result_quant(rng, OpKind.MUL, maps, coefficients)
    if quants is not None:
        maps, coefficients, scaled = quants
    tensors = [
        int8_tensor("x", (1, h, w, c * heads), maps),
        int8_tensor("s", (1, 1, 1, c * heads), coefficients),
        int8_tensor("scaled", (1, h, w, c * heads), scaled),
        int8_tensor("split", (1, h * w, c, heads), scaled),
        int8_tensor("largest", (1, h * w, c, 1), scaled),
        int8_tensor("y", (1, h, w, c), scaled),
    ]
    body = (
        Op(OpKind.MUL, ("x", "s"), ("scaled",), ClampAttrs()),
        Op(OpKind.RESHAPE, ("scaled",), ("split",)),
        Op(OpKind.REDUCE_MAX, ("split",), ("largest",), ReduceAttrs((3,), keep_dims=True)),
        Op(OpKind.RESHAPE, ("largest",), ("y",)),
    )
    return graph_of(Op(OpKind.FUSED, ("x", "s"), ("y",), FusedAttrs(FusedPattern.MUL_MAX, body)), tensors)


def mul_add_graph(rng: Rng, h: int, w: int, c: int, is_swapped: bool = False, quants: tuple[Quant, ...] | None = None) -> Graph:
    """MUL by one coefficient for each channel, then ADD of another map, fused. `quants` are those of x, s, gated, r and y."""
    maps, other = random_quant(rng), random_quant(rng)
    coefficients = (1 / 256, -128) if rng.random() < 0.6 else random_quant(rng)
    gated = result_quant(rng, OpKind.MUL, maps, coefficients)
    sums = result_quant(rng, OpKind.ADD, gated, other)
    if quants is not None:
        maps, coefficients, gated, other, sums = quants
    shape = (1, h, w, c)
    tensors = [
        int8_tensor("x", shape, maps),
        int8_tensor("s", (1, 1, 1, c), coefficients),
        int8_tensor("gated", shape, gated),
        int8_tensor("r", shape, other),
        int8_tensor("y", shape, sums),
    ]
    clamp = ClampAttrs(*((-128, 127), (-60, 90))[int(rng.random() < 0.3)])
    body = (
        Op(OpKind.MUL, ("x", "s"), ("gated",), ClampAttrs()),
        Op(OpKind.ADD, ("r", "gated") if is_swapped else ("gated", "r"), ("y",), clamp),
    )
    return graph_of(Op(OpKind.FUSED, ("x", "s", "r"), ("y",), FusedAttrs(FusedPattern.MUL_ADD, body)), tensors)


def shift_max_graph(rng: Rng, h: int, w: int, c: int, sums: int, out_scale: float | None = None) -> Graph:
    """GATHER of the channels; `sums` times MUL, MUL and ADD, its operands in either order; of two sums, MAXIMUM. Fused."""
    shape, vector, maps = (1, h, w, c), (1, 1, 1, c), random_quant(rng)
    tensors = [int8_tensor("x", shape, maps), int8_tensor("shifted", shape, maps)]
    body = [Op(OpKind.GATHER, ("x",), ("shifted",), GatherAttrs(3, tuple(rng.permutation(c).tolist())))]
    clamp = ClampAttrs(*((-128, 127), (-60, 90))[int(rng.random() < 0.3)])
    y: Quant | None = None
    for k in range(sums):
        products = []
        for j, source in enumerate(("x", "shifted")):
            coefficients = (1 / 128, 0) if rng.random() < 0.6 else random_quant(rng)
            products.append(result_quant(rng, OpKind.MUL, maps, coefficients))
            tensors += [int8_tensor(f"s{k}{j}", vector, coefficients), int8_tensor(f"p{k}{j}", shape, products[-1])]
            body.append(Op(OpKind.MUL, (source, f"s{k}{j}"), (f"p{k}{j}",), ClampAttrs()))
        y = y or result_quant(rng, OpKind.ADD, *products)
        y = y if out_scale is None else (out_scale, y[1])
        order = (f"p{k}0", f"p{k}1") if rng.random() < 0.5 else (f"p{k}1", f"p{k}0")
        tensors.append(int8_tensor(f"y{k}", shape, y))
        body.append(Op(OpKind.ADD, order, (f"y{k}",), clamp))
    if sums == 2:
        assert y is not None
        tensors.append(int8_tensor("y", shape, y))
        body.append(Op(OpKind.MAXIMUM, ("y0", "y1"), ("y",)))
    inputs = ("x", *(f"s{k}{j}" for k in range(sums) for j in range(2)))
    output = "y" if sums == 2 else "y0"
    return graph_of(Op(OpKind.FUSED, inputs, (output,), FusedAttrs(FusedPattern.SHIFT_MAX, tuple(body))), tensors)


def random_input(rng: Rng, shape: Shape) -> Int8:
    """Noise over all of int8, or around a value, or constant: ties, saturation and both signs all occur."""
    kind = rng.random()
    if kind < 0.15:
        return np.full(shape, rng.choice([-128, 127, 0]), np.int8)
    if kind < 0.4:
        centre, spread = rng.integers(-128, 128), rng.uniform(1, 40)
        return np.clip(np.round(rng.normal(centre, spread, shape)), -128, 127).astype(np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def random_case(name: str, graph: Graph, rng: Rng, build: Build = DEFAULT_BUILD) -> KernelCase:
    """The graph's operator on random inputs, with the reference interpreter's outputs."""
    op = graph.ops[0]
    call = select(op, graph, build)
    return case_of(name, op, graph, call, {n: random_input(rng, graph.tensor(n).shape) for n in call.inputs})
