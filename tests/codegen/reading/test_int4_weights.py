"""Weights of four bits: LiteRT's own numbers, and what is no weights of four bits."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.reading.int4_weights import unpacked_int4
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel
from flynet_tiny.export.tflite_writer import TensorSpec
from flynet_tiny.verify.litert import LiteRt

from ...converter_models import Forms, int4_weights
from .operand_mutants import pack, unpack


def test_nibbles_are_read_low_first_and_with_their_sign() -> None:
    packed = np.array([0x18, 0xF7, 0x03], np.uint8)
    assert unpacked_int4(packed, 5).tolist() == [-8, 1, 7, -1, 3]


@pytest.mark.parametrize("seed", range(4))
def test_all_three_operators_compute_as_litert_does(seed: int) -> None:
    data = int4_weights(seed)
    graph = read_tflite(data)
    assert graph.notes == ("int4 weights of 3 operators are kept as int8 in the C",)
    rng = np.random.default_rng(seed)
    with LiteRt(graph, data) as litert:
        for _ in range(8):
            inputs = {"x": rng.integers(-128, 128, graph.tensor("x").shape).astype(np.int8)}
            expected = reference.run(graph, inputs)
            found = litert.run(inputs)
            assert set(found) >= {"a", "d", "m", "y"}
            assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_weights_with_a_byte_each_are_refused() -> None:
    """LiteRT takes a buffer that is too long, and reads other numbers from it."""
    model = unpack(int4_weights(0))
    (index,) = [t.buffer for t in model.subgraphs[0].tensors if t.name == b"a_w"]
    model.buffers[index].data = np.zeros(20, np.uint8)
    with pytest.raises(BadModel, match=r"'a_w' has 20 bytes of data for shape \[5, 1, 1, 4\] of int4"):
        read_tflite(pack(model))


def test_int4_that_is_no_weights_is_refused() -> None:
    s = Forms(0)
    s.act("x", (1, 4))
    s.tensors["c"] = TensorSpec("c", (1, 4), "int4", (0.1,), (0,), data=np.arange(4, dtype=np.int8))
    s.op("ADD", ("x", "c"), s.act("y", (1, 4)), fusedActivationFunction="NONE")
    with pytest.raises(BadModel, match=r"tensors of type INT4 .*'c' \(INT4\)"):
        read_tflite(s.file(("x",), ("y",)))
