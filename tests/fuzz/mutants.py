"""Broken `.tflite` files from good ones, and what the reader makes of them: a graph or one of our errors, nothing else."""

from __future__ import annotations

import copy
import struct
import warnings
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import FlynetError

from .. import one_op_models, small_models, stateful_models
from .drawn_graphs import draw

Rng = np.random.Generator
WORDS = (0, 1, 2, 4, 8, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 1 << 28, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
NUMBERS = (0, 1, -1, 2, 3, 5, 7, 127, 128, -128, -129, 255, 256, 65535, 1 << 20, (1 << 31) - 1, -(1 << 31))
SCALES = (0.0, -1.0, float("nan"), float("inf"), 1e-45, 1e-38, 1e-9, 0.1, 1.0, 1 / 256, 2.0**40, 3e38)
LONGEST_LINE = 4000


class Outcome(Enum):
    """What became of a mutant."""

    READ = "read"
    REFUSED = "refused"
    TRACEBACK = "traceback"
    BABBLE = "message that is not a readable line"


@cache
def corpus() -> tuple[bytes, ...]:
    """Good files: each operator twice, the blocks of FlyNet, variables, drawn graphs."""
    files = [make(seed) for make in one_op_models.CASES.values() for seed in (0, 1)]
    files += [small_models.attention_block(4, 3, 4, 2), small_models.mdw_max_out(4, 3, 4, 2)]
    files += [make() for make in stateful_models.MODELS.values()]
    return (*files, *(draw(seed) for seed in range(12)))


def mutant(seed: int) -> bytes:
    """One broken file; the same for the same seed."""
    rng = np.random.default_rng([seed, 0x6D75])
    data = corpus()[int(rng.integers(len(corpus())))]
    if rng.random() < 0.4:
        return _structured(data, rng)
    for _ in range(int(rng.geometric(0.4))):
        data = _BYTES[int(rng.integers(len(_BYTES)))](data, rng)
    return data


def read(data: bytes) -> tuple[Outcome, str]:
    """What the reader makes of a file, and its words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            graph = read_tflite(data, "fuzz")
    except FlynetError as error:
        text = str(error)
        good = 0 < len(text) <= LONGEST_LINE and text.isprintable() and error.exit_code in (3, 4, 5)
        return (Outcome.REFUSED if good else Outcome.BABBLE), text
    except MemoryError:
        return Outcome.TRACEBACK, "MemoryError"
    except Exception as error:
        return Outcome.TRACEBACK, f"{type(error).__name__}: {error}"
    return Outcome.READ, graph.name


# --- bytes -----------------------------------------------------------------------------------------------------------


def _flip_bits(data: bytes, rng: Rng) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _set_word(data: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(max(1, len(data) // 4))) * 4
    near = (len(data), len(data) - 4, at, at - 4, len(data) - at)
    value = int(rng.choice(WORDS)) if rng.random() < 0.7 else near[int(rng.integers(len(near)))]
    return data[:at] + (value & 0xFFFFFFFF).to_bytes(4, "little") + data[at + 4 :]


def _set_half(data: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(max(1, len(data) // 2))) * 2
    return data[:at] + int(rng.choice((0, 1, 2, 4, 6, 8, 0x7F, 0xFF, 0x7FFF, 0xFFFF))).to_bytes(2, "little") + data[at + 2 :]


def _truncate(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _repeat(data: bytes, rng: Rng) -> bytes:
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 65))
    at = int(rng.integers(len(data) + 1))
    return data[:at] + data[start : start + length] + data[at:]


def _drop(data: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(data) + 1))
    return data[:at] + data[at + int(rng.integers(1, 65)) :]


def _splice(data: bytes, rng: Rng) -> bytes:
    other = corpus()[int(rng.integers(len(corpus())))]
    at = int(rng.integers(min(len(data), len(other)) + 1)) & ~3
    return data[:at] + other[at:]


def _never_empty(change: Callable[[bytes, Rng], bytes]) -> Callable[[bytes, Rng], bytes]:
    return lambda data, rng: change(data, rng) if len(data) >= 8 else data


_BYTES = tuple(map(_never_empty, (_flip_bits, _flip_bits, _set_word, _set_word, _set_half, _truncate, _repeat, _drop, _splice)))

# --- fields of the schema ---------------------------------------------------------------------------------------------


@cache
def _unpacked(data: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def _structured(data: bytes, rng: Rng) -> bytes:
    """A well-formed FlatBuffer with fields that no converter would write."""
    model = copy.deepcopy(_unpacked(data))
    for _ in range(int(rng.geometric(0.5))):
        _FIELDS[int(rng.integers(len(_FIELDS)))](model, rng)
    builder = flatbuffers.Builder(1024)
    try:
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    except (OverflowError, TypeError, ValueError, AttributeError, struct.error):
        return data  # a value that the field cannot hold: nothing was broken
    return bytes(builder.Output())


def _one(values: Any, rng: Rng) -> Any:
    """One of at least one."""
    return values[int(rng.integers(len(values)))]


def _tensor(model: Any, rng: Rng) -> Any:
    return _one(model.subgraphs[0].tensors, rng)


def _operator(model: Any, rng: Rng) -> Any:
    return _one(model.subgraphs[0].operators, rng)


def _type(model: Any, rng: Rng) -> None:
    _tensor(model, rng).type = int(rng.integers(-2, 22))


def _shape(model: Any, rng: Rng) -> None:
    tensor = _tensor(model, rng)
    shape = [] if tensor.shape is None else [int(d) for d in tensor.shape]
    how = int(rng.integers(4))
    if how == 0 or not shape:
        shape.insert(int(rng.integers(len(shape) + 1)), int(rng.choice(NUMBERS)))
    elif how == 1:
        del shape[int(rng.integers(len(shape)))]
    elif how == 2:
        shape[int(rng.integers(len(shape)))] = int(rng.choice(NUMBERS))
    else:
        shape = []
    tensor.shape = np.array(shape, np.int64).astype(np.int32)


def _scale(model: Any, rng: Rng) -> None:
    tensor = _tensor(model, rng)
    q = tensor.quantization
    if q is None or rng.random() < 0.2:
        tensor.quantization = None
    elif rng.random() < 0.3:
        count = int(rng.integers(5))
        q.scale, q.zeroPoint = np.full(count, float(rng.choice(SCALES)), np.float32), np.zeros(int(rng.integers(5)), np.int64)
    elif q.scale is not None and len(q.scale):
        scale = np.array(q.scale, np.float32)
        scale[int(rng.integers(scale.size))] = rng.choice(SCALES)
        q.scale = scale


def _zero_point(model: Any, rng: Rng) -> None:
    q = _tensor(model, rng).quantization
    if q is not None:
        q.zeroPoint = np.array([int(rng.choice(NUMBERS))] * int(rng.integers(1, 4)), np.int64)


def _axis(model: Any, rng: Rng) -> None:
    q = _tensor(model, rng).quantization
    if q is not None:
        q.quantizedDimension = int(rng.choice((0, 1, 2, 3, 4, -1, 1 << 20)))


def _buffer(model: Any, rng: Rng) -> None:
    _tensor(model, rng).buffer = int(rng.integers(len(model.buffers) + 2))


def _data(model: Any, rng: Rng) -> None:
    buffer = _one(model.buffers, rng)
    if buffer.data is None or rng.random() < 0.3:
        buffer.data = np.frombuffer(rng.bytes(int(rng.choice((0, 1, 4, 16, 64)))), np.uint8)
    elif len(buffer.data):
        raw = np.array(buffer.data, np.uint8)
        if raw.size % 4 == 0 and rng.random() < 0.7:
            words = raw.view(np.int32)
            words[int(rng.integers(words.size))] = rng.choice(NUMBERS)
        else:
            raw[:] = int(rng.integers(256))
        buffer.data = raw


def _operands(model: Any, rng: Rng) -> None:
    op = _operator(model, rng)
    field = "inputs" if rng.random() < 0.8 else "outputs"
    values = [] if getattr(op, field) is None else [int(i) for i in getattr(op, field)]
    how = int(rng.integers(4))
    anything = int(rng.choice((-1, -2, 1 << 30, *range(len(model.subgraphs[0].tensors)))))
    if how == 0 or not values:
        values.append(anything)
    elif how == 1:
        del values[int(rng.integers(len(values)))]
    elif how == 2:
        values[int(rng.integers(len(values)))] = anything
    else:
        values = values[::-1]
    setattr(op, field, np.array(values, np.int32))


def _ends(model: Any, rng: Rng) -> None:
    graph = model.subgraphs[0]
    count = len(graph.tensors)
    chosen = np.array([int(rng.integers(-1, count + 1)) for _ in range(int(rng.integers(4)))], np.int32)
    setattr(graph, "inputs" if rng.random() < 0.5 else "outputs", chosen)


def _opcode(model: Any, rng: Rng) -> None:
    code = _one(model.operatorCodes, rng)
    code.builtinCode = int(rng.integers(-1, 210))
    code.deprecatedBuiltinCode = min(127, max(0, code.builtinCode))


def _options(model: Any, rng: Rng) -> None:
    op = _operator(model, rng)
    options = op.builtinOptions
    if options is None or not vars(options) or rng.random() < 0.1:
        op.builtinOptions, op.builtinOptionsType = None, 0
        return
    name = _one(sorted(vars(options)), rng)
    value = getattr(options, name)
    if isinstance(value, bool):
        setattr(options, name, not value)
    elif isinstance(value, float):
        setattr(options, name, float(rng.choice(SCALES)))
    elif isinstance(value, int):
        setattr(options, name, int(rng.choice((0, 1, 2, 3, 4, 5, 9, -1, 127))))


def _names(model: Any, rng: Rng) -> None:
    _tensor(model, rng).name = _one((b"", b"*/ int x;", b"\xff\xfe\x1b[2J", "\u202ename".encode(), b"x" * 3000, b"a\0b\n"), rng)


def _order(model: Any, rng: Rng) -> None:
    operators = model.subgraphs[0].operators
    how = int(rng.integers(3))
    if how == 0:
        rng.shuffle(operators)
    elif how == 1 and len(operators) > 1:
        del operators[int(rng.integers(len(operators)))]
    else:
        operators.append(copy.deepcopy(_one(operators, rng)))


def _subgraphs(model: Any, rng: Rng) -> None:
    if rng.random() < 0.5:
        model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))
    else:
        model.version = int(rng.choice((0, 1, 2, 3, 4, 255)))


_FIELDS = (
    _type, _shape, _shape, _scale, _scale, _zero_point, _axis, _buffer, _data, _data, _operands, _operands, _ends, _opcode,
    _options, _options, _options, _names, _order, _subgraphs,
)  # fmt: skip
