"""Each rule at its boundary: what the reader accepts, LiteRT computes as the reference does; what it refuses, LiteRT does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.activations import ACTIVATIONS
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, UnsupportedOperators
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess

from .. import one_op_models as models
from ..one_op_models import Quant

Rng = np.random.Generator


def _zero_point(rng: Rng) -> int:
    return int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128))]))


def _quant(rng: Rng, scale: float) -> Quant:
    return Quant(scale, _zero_point(rng))


def _near(rng: Rng, exponent: float) -> float:
    """A factor around 2^exponent: within a few steps of float32, or within a factor of four, or anywhere."""
    kind = rng.random()
    if kind < 0.3:
        return float(2.0**exponent * (1 + int(rng.integers(-4, 5)) * 2.0**-23))
    return float(2.0 ** (exponent + rng.uniform(-2, 2) if kind < 0.8 else rng.uniform(-32, 34)))


def _scale(rng: Rng) -> float:
    return float(2.0 ** rng.integers(-6, 3) if rng.random() < 0.5 else 2.0 ** rng.uniform(-6, 3))


def _sum(opcode: str) -> Callable[[Rng, int], bytes]:
    def make(rng: Rng, seed: int) -> bytes:
        a = _scale(rng)
        b = a * (1.0 if rng.random() < 0.5 else 2.0 ** rng.uniform(-20, 4))
        out = max(a, b) * _near(rng, -19)
        quants = {"left_quant": _quant(rng, a), "right_quant": _quant(rng, b), "output_quant": _quant(rng, out)}
        return models.binary(opcode, seed, (1, 8), (1, 8), str(rng.choice(models.ACTIVATIONS)), **quants)

    return make


def _product(rng: Rng, seed: int) -> bytes:
    a, b = _scale(rng), _scale(rng)
    out = a * b / _near(rng, 15.5)
    return models.binary("MUL", seed, (1, 8), (1, 8), "NONE", _quant(rng, a), _quant(rng, b), _quant(rng, out))


def _squared_difference(rng: Rng, seed: int) -> bytes:
    a, b = _scale(rng), _scale(rng)
    out = (2 * max(a, b)) ** 2 / 2**14 * _near(rng, 0)
    quants = {"left_quant": _quant(rng, a), "right_quant": _quant(rng, b), "output_quant": _quant(rng, out)}
    return models.binary("SQUARED_DIFFERENCE", seed, (1, 8), (1, 8), **quants)


def _value(opcode: str) -> Callable[[Rng, int], bytes]:
    def make(rng: Rng, seed: int) -> bytes:
        a = _scale(rng)
        return models.unary(opcode, seed, (1, 64), _quant(rng, a), _quant(rng, a / _near(rng, 23)))

    return make


def _neg(rng: Rng, seed: int) -> bytes:
    a = _scale(rng)
    result = Quant(a * (1 + int(rng.integers(-1, 2)) * 2.0**-23), 0)
    return models.unary("NEG", seed, (1, 64), Quant(a, 0), result)


def _rsqrt(rng: Rng, seed: int) -> bytes:
    a = _scale(rng)
    return models.unary("RSQRT", seed, (1, 64), Quant(a, -128), _quant(rng, a**-0.5 * _near(rng, -20)))


def _prelu(rng: Rng, seed: int) -> bytes:
    a, slope = _scale(rng), 2.0 ** rng.uniform(-8, 0)
    out = a * (slope if rng.random() < 0.5 else 1) / _near(rng, 15 if rng.random() < 0.5 else 23)
    return models.prelu(seed, (1, 16, 4), (4,), (_quant(rng, a), _quant(rng, slope), _quant(rng, out)))


def _division(rng: Rng, seed: int) -> bytes:
    a, b, divisor = _scale(rng), _scale(rng), int(rng.integers(-128, 128))
    quants = (_quant(rng, a), _quant(rng, b), _quant(rng, a / b / _near(rng, int(rng.integers(0, 9)))))
    return models.division(seed, (1, 64), divisor, str(rng.choice(models.ACTIVATIONS)), quants)


def _batch_matmul(rng: Rng, seed: int) -> bytes:
    a, b, depth = _scale(rng), _scale(rng), int(rng.integers(1, 40))
    quants = (_quant(rng, a), _quant(rng, b), _quant(rng, a * b / _near(rng, 12)))
    return models.batch_matmul(seed, (3, depth), (depth, 5), quants=quants)


def _mean(rng: Rng, seed: int) -> bytes:
    a, shape = _scale(rng), (1, int(rng.integers(1, 20)), int(rng.integers(1, 20)), 3)
    out = a / _near(rng, 23)
    return models.reduce("MEAN", 10 * seed, shape, input_quant=_quant(rng, a), output_quant=_quant(rng, out))


def _fully_connected(rng: Rng, seed: int) -> bytes:
    a, w, depth = _scale(rng), 2.0 ** rng.uniform(-12, 12), int(rng.integers(1, 40))
    biases = [int(v) for v in rng.integers(-(2**31), 2**31, 4)] if rng.random() < 0.4 else [0, 5, -1000, 100]
    if rng.random() < 0.2:
        biases[0] = (1 << 31) - 1 - int(rng.integers(0, 1 << 16))
    out = a * w / _near(rng, 0 if max(map(abs, biases)) > 1 << 20 else 14)
    is_per_channel = bool(rng.random() < 0.5)
    scales = [w * 2.0 ** rng.uniform(-1, 1) for _ in range(4)] if is_per_channel else [w]
    return models.fully_connected(
        seed, (1, depth), 4, per_channel=is_per_channel, input_quant=_quant(rng, a), output_quant=_quant(rng, out),
        weight_scales=[float(np.float32(s)) for s in scales], biases=biases,
    )  # fmt: skip


def _convolution(rng: Rng, seed: int) -> bytes:
    a, w = _scale(rng), 2.0 ** rng.uniform(-6, 3)
    out = a * w / _near(rng, 13)
    return models.conv_2d(
        seed,
        (3, 3, 4),
        4,
        (1, 1),
        per_channel=False,
        input_quant=_quant(rng, a),
        output_quant=_quant(rng, out),
        weight_scales=[w],
    )


def _hard_swish(rng: Rng, seed: int) -> bytes:
    a = _scale(rng)
    return models.unary("HARD_SWISH", seed, (1, 64), _quant(rng, a), _quant(rng, a / _near(rng, 7)))


def _softmax(rng: Rng, seed: int) -> bytes:
    beta = float(rng.choice([1.0, 0.5, 1e-3]))
    return models.softmax(seed, (2, 20), beta, _quant(rng, _near(rng, -26) / beta))


def _clamped(rng: Rng, seed: int) -> bytes:
    """RELU6 and RELU_N1_TO_1, whose bound over the scale leaves int32."""
    out, activation = 6 * _near(rng, -31), str(rng.choice(["RELU6", "RELU_N1_TO_1"]))
    return models.binary("MUL", seed, (1, 8), (1, 8), activation, _quant(rng, out), _quant(rng, 1.0), _quant(rng, out))


BOUNDARIES: Mapping[str, Callable[[Rng, int], bytes]] = {
    "ADD": _sum("ADD"),
    "SUB": _sum("SUB"),
    "MUL": _product,
    "MUL clamped": _clamped,
    "SQUARED_DIFFERENCE": _squared_difference,
    **{opcode: _value(opcode) for opcode, activation in ACTIVATIONS.items() if activation.rules and not activation.unit_output},
    "NEG": _neg,
    "RSQRT": _rsqrt,
    "PRELU": _prelu,
    "DIV": _division,
    "BATCH_MATMUL": _batch_matmul,
    "MEAN": _mean,
    "FULLY_CONNECTED": _fully_connected,
    "CONV_2D": _convolution,
    "HARD_SWISH": _hard_swish,
    "SOFTMAX": _softmax,
}


@pytest.fixture(scope="module")
def litert() -> Iterator[LiteRtProcess]:
    with LiteRtProcess() as process:
        yield process


def _agree(name: str, data: bytes, litert: LiteRtProcess, seed: int) -> bool:
    """Whether the reader accepts the model; then the reference must be LiteRT's, byte for byte."""
    try:
        graph = read_tflite(data)
    except (BadModel, UnsupportedOperators):
        return False
    rng = np.random.default_rng(seed)
    judge = LiteRt(graph, data, process=litert)
    for choices in ([-128, 127], [-128], [127], range(-128, 128)):
        inputs = {n: rng.choice(np.array(choices), graph.tensor(n).shape).astype(np.int8) for n in graph.inputs}
        expected, found = reference.run(graph, inputs), judge.run(inputs)
        for output in graph.outputs:
            np.testing.assert_array_equal(expected[output], found[output], err_msg=f"{name}, seed {seed}")
    return True


def _sweep(name: str, litert: LiteRtProcess, seeds: range) -> None:
    accepted = 0
    for seed in seeds:
        rng = np.random.default_rng([seed, sum(map(ord, name))])
        accepted += _agree(name, BOUNDARIES[name](rng, seed), litert, seed)
    assert 0 < accepted < len(seeds), f"{accepted} of {len(seeds)} accepted: the draws miss the boundary"


@pytest.mark.parametrize("name", sorted(BOUNDARIES))
def test_what_is_accepted_near_a_boundary_is_exact(name: str, litert: LiteRtProcess) -> None:
    _sweep(name, litert, range(30))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BOUNDARIES))
def test_what_is_accepted_near_a_boundary_is_exact_often(name: str, litert: LiteRtProcess) -> None:
    _sweep(name, litert, range(1000, 1600))
