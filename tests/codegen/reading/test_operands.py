from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.reading.operands import SIGNATURES
from flynet_tiny.codegen.supported_ops import SUPPORTED
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, FlynetError, UnsupportedOperators
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess

from ...converter_models import Forms
from ...one_op_models import CASES, concatenation, conv_2d, fully_connected, unary
from .operand_mutants import MUTATIONS, Mutation, mutants, pack, unpack

# what is wrong with a whole model has no operator's place
PLACE = re.compile(r"\bop(erator)? [012] |\btensors? |graph (input|output) |needs an operator that computes")


def mutated(data: bytes, place: int, mutation: Mutation | str) -> bytes:
    model = unpack(data)
    (MUTATIONS[mutation] if isinstance(mutation, str) else mutation)(model, place)
    return pack(model)


def test_every_operator_with_rules_has_a_signature() -> None:
    assert set(SIGNATURES) == set(SUPPORTED)


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_operand_made_wrong_is_one_line_that_names_its_place(name: str) -> None:
    refused = 0
    for what, data in mutants(CASES[name](0)):
        message = _refusal(data)
        if message is not None:
            refused += 1
            assert "\n" not in message
            assert PLACE.search(message), f"{name}, {what}: {message}"
    assert refused > len(MUTATIONS)


def _refusal(data: bytes) -> str | None:
    """The message with which the reader refuses a file; None where it reads it."""
    try:
        read_tflite(data)
    except (BadModel, UnsupportedOperators) as error:
        return str(error)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("seed", [1, 2])
def test_an_operand_made_otherwise_is_exact_where_litert_computes_it(name: str, seed: int) -> None:
    compared = 0
    with _processes() as processes:
        for what, data in mutants(CASES[name](seed)):
            try:
                graph = read_tflite(data)
                judge = LiteRt(graph, data, process=next(processes))
            except FlynetError:  # refused by the reader, or by LiteRT: then there is nothing to compare
                continue
            rng = np.random.default_rng(0)
            for choices in (np.arange(-128, 128), np.array([-128, 127])):
                inputs = {n: rng.choice(choices, graph.tensor(n).shape).astype(np.int8) for n in graph.inputs}
                try:
                    found = judge.run(inputs)
                except BadModel:
                    break
                expected = reference.run(graph, inputs)
                for tensor in graph.outputs:
                    np.testing.assert_array_equal(expected[tensor], found[tensor], err_msg=f"{name}, {what}")
                    compared += 1
    assert compared > 0


@pytest.mark.parametrize("scale", [3e38, 2.0**41, 1e-38, 1.5e-45])
@pytest.mark.parametrize("other", [2.0**-40, 2.0**40])
@pytest.mark.parametrize("name", ["MUL", "ADD", "FULLY_CONNECTED", "RELU", "HARD_SWISH"])
def test_a_constant_of_an_extreme_scale_is_refused_or_computed(name: str, other: float, scale: float) -> None:
    s = Forms(0)
    s.act("x", (1, 4), other)
    s.act("y", (1, 4), 2.0**-40)
    s.stored("k", s.ints(4, 4) if name == "FULLY_CONNECTED" else s.ints(1, 4), scale)
    if name in ("RELU", "HARD_SWISH"):
        s.op(name, ("k",), s.act("made", (1, 4), 2.0**-40))
        s.op("ADD", ("x", "made"), "y", fusedActivationFunction="NONE")
    elif name == "FULLY_CONNECTED":
        s.dense("x", "y", "k")
    else:
        s.op(name, ("x", "k"), "y", fusedActivationFunction="NONE")
    try:
        graph = read_tflite(s.file(("x",), ("y",)))
    except (BadModel, UnsupportedOperators):
        return
    assert scale < 1
    reference.run(graph, {"x": np.full((1, 4), 127, np.int8)})


class _processes:  # noqa: N801
    """LiteRT's child, a new one after each that died of a model."""

    def __enter__(self) -> Iterator[LiteRtProcess]:
        self._process = LiteRtProcess()
        return self._living()

    def __exit__(self, *_: object) -> None:
        self._process.close()

    def _living(self) -> Iterator[LiteRtProcess]:
        while True:
            if not self._process.is_alive:
                self._process.close()
                self._process = LiteRtProcess()
            yield self._process


@pytest.mark.parametrize(
    ("data", "place", "mutation", "error", "message"),
    [
        (conv_2d(), 0, "no quantization", BadModel, r"op 0 CONV_2D -> 'y': tensor 0 'x' is int8 without a scale"),
        (conv_2d(), 1, "no quantization", BadModel, r"tensor 1 'w' is int8 without a scale"),
        (conv_2d(), 1, "missing", BadModel, r"op 0 CONV_2D -> 'y': input 1 \(weights\) is missing"),
        (
            conv_2d(),
            1,
            "computed",
            UnsupportedOperators,
            r"its weights tensor 1 'w' is computed at run time, a constant is needed",
        ),
        (fully_connected(), 1, "rank + 1", UnsupportedOperators, r"weights tensor 1 'w' has shape .*, rank 2 is needed"),
        (conv_2d(), 2, "zero point 5", UnsupportedOperators, r"The bias's zero points, if it has any, are 0"),
        (
            fully_connected(),
            0,
            "per channel 1",
            UnsupportedOperators,
            r"data tensor 0 'x' has 37 scales along axis 1; one scale can be",
        ),
        (unary("RELU"), -1, "type INT32", UnsupportedOperators, r"its output tensor 1 'y' is INT32, INT8 is needed"),
        (unary("RELU"), -1, "left out", BadModel, r"it has 0 outputs, 1 is needed"),
        (unary("RELU"), 0, "left out", BadModel, r"it has 0 inputs, 1 is allowed"),
        (unary("RELU"), 0, "zero point 200", BadModel, r"tensor 0 'x' has a zero point outside -128..127"),
        (unary("RELU"), -1, "constant", BadModel, r"it writes tensor 1 'y', which is a constant"),
        (concatenation(), 1, "missing", BadModel, r"op 0 CONCATENATION -> 'y': input 1 \(data\) is missing"),
    ],
)
def test_messages_name_the_operand(data: bytes, place: int, mutation: str, error: type[FlynetError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_tflite(mutated(data, place, mutation))
