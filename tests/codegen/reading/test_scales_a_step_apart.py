"""Converters compute the scale before a pool or a move and the scale behind it each on its own; they may be one step apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.ir import OpKind
from flynet_tiny.codegen.passes.pipeline import run_passes
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, UnsupportedOperators
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess

from ...one_op_models import CASES, Quant, activation, indices
from .operand_mutants import pack, unpack

LENIENT = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "SLICE", "STRIDED_SLICE", "GATHER", "TRANSPOSE", "PAD", "RESHAPE", "MAXIMUM")
STRICT = ("CONCATENATION", "REDUCE_MAX")


def _rescaled(data: bytes, steps: int = 0, factor: float = 1.0) -> bytes:
    model = unpack(data)
    graph = model.subgraphs[0]
    q = graph.tensors[graph.outputs[0]].quantization
    scale = np.float32(q.scale[0]) * np.float32(factor)
    for _ in range(abs(steps)):
        scale = np.nextafter(scale, np.float32(np.inf if steps > 0 else 0))
    q.scale, q.zeroPoint = np.array([scale], np.float32), np.array(q.zeroPoint)
    return pack(model)


@pytest.fixture(scope="module")
def litert() -> Iterator[LiteRtProcess]:
    with LiteRtProcess() as process:
        yield process


def _assert_as_litert(data: bytes, litert: LiteRtProcess) -> None:
    graph = read_tflite(data)
    rng = np.random.default_rng(0)
    inputs = {name: rng.integers(-128, 128, graph.tensor(name).shape).astype(np.int8) for name in graph.inputs}
    expected, found = reference.run(graph, inputs), LiteRt(graph, data, process=litert).run(inputs)
    for output in graph.outputs:
        np.testing.assert_array_equal(expected[output], found[output])


@pytest.mark.parametrize("name", LENIENT)
@pytest.mark.parametrize("steps", [-1, 1])
@pytest.mark.parametrize("seed", range(3))
def test_one_step_is_the_same_scale_where_litert_looks_at_none(name: str, steps: int, seed: int, litert: LiteRtProcess) -> None:
    _assert_as_litert(_rescaled(CASES[name](seed), steps), litert)


@pytest.mark.parametrize("name", [*LENIENT, *STRICT])
@pytest.mark.parametrize("change", [{"steps": 3}, {"factor": 1.7}])
def test_more_is_another_scale(name: str, change: dict[str, float]) -> None:
    with pytest.raises(UnsupportedOperators, match="scale"):
        read_tflite(_rescaled(CASES[name](0), **change))


@pytest.mark.parametrize("name", STRICT)
def test_one_step_is_too_much_where_litert_refuses_it(name: str, litert: LiteRtProcess) -> None:
    data = _rescaled(CASES[name](0), 1)
    with pytest.raises(UnsupportedOperators, match="exactly the output's scale"):
        read_tflite(data)
    graph = read_tflite(CASES[name](0))  # the same but for the scale
    zeros = {tensor: np.zeros(graph.tensor(tensor).shape, np.int8) for tensor in graph.inputs}
    with pytest.raises(BadModel, match="LiteRT refuses"):  # when it is loaded, or when it is run
        LiteRt(graph, data, process=litert).run(zeros)


def test_a_pad_with_another_scale_is_not_folded_into_its_convolution(litert: LiteRtProcess) -> None:
    """The convolution's multipliers are of the PAD's output; those of its input differ in the last bits."""
    scale = np.float32(0.05)
    rng = np.random.default_rng(0)
    tensors = (
        activation("x", (1, 6, 6, 4), Quant(float(scale), 3)),
        indices("pads", [[0, 0], [1, 1], [1, 1], [0, 0]]),
        activation("p", (1, 8, 8, 4), Quant(float(np.nextafter(scale, np.float32(1))), 3)),
        TensorSpec("w", (8, 3, 3, 4), "int8", (0.01,), (0,), None, rng.integers(-127, 128, (8, 3, 3, 4)).astype(np.int8)),
        TensorSpec("b", (8,), "int32", (0.0005,), (0,), None, np.zeros(8, np.int32)),
        activation("y", (1, 6, 6, 8), Quant(0.2, -5)),
    )
    convolution = OpSpec("CONV_2D", ("p", "w", "b"), ("y",), {"padding": "VALID", "strideH": 1, "strideW": 1})
    data = write_tflite(ModelSpec(tensors, (OpSpec("PAD", ("x", "pads"), ("p",)), convolution), ("x",), ("y",)))
    _assert_as_litert(data, litert)
    assert [op.kind for op in run_passes(read_tflite(data)).ops] == [OpKind.PAD, OpKind.CONV_2D]
