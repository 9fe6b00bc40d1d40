"""Small `.tflite` files with variables: a second subgraph of start values, VAR_HANDLE, READ_VARIABLE and ASSIGN_VARIABLE."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

from .small_models import Sketch

HANDLE = "resource"


@dataclass
class Initialisation:
    """A subgraph that CALL_ONCE runs."""

    tensors: list[TensorSpec] = field(default_factory=list)
    ops: list[OpSpec] = field(default_factory=list)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def assign(self, variable: str, start: TensorSpec) -> None:
        handle = f"handle{len(self.ops)}"
        self.tensors += [TensorSpec(handle, (), HANDLE), start]
        self.ops.append(OpSpec("VAR_HANDLE", (), (handle,), {"container": "", "sharedName": variable}))
        self.ops.append(OpSpec("ASSIGN_VARIABLE", (handle, start.name), ()))


class StatefulSketch(Sketch):
    """A `Sketch` whose main subgraph begins with CALL_ONCE of start values."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.start = Initialisation()
        self.call_once()

    def call_once(self, subgraph: int = 1) -> None:
        self.ops.append(OpSpec("CALL_ONCE", (), (), {"initSubgraphIndex": subgraph}))

    def handle(self, variable: str) -> str:
        """The handle of a variable, made by a VAR_HANDLE when it is first needed."""
        name = f"{variable}_handle"
        if name not in self.tensors:
            self.tensors[name] = TensorSpec(name, (), HANDLE)
            self.ops.append(OpSpec("VAR_HANDLE", (), (name,), {"container": "", "sharedName": variable}))
        return name

    def begins(self, variable: str, like: str, values: np.ndarray | int | None = None) -> None:
        """A variable's start value, like an activation: drawn, one number, or given."""
        spec = self.tensors[like]
        drawn = self.rng.integers(-128, 128, spec.shape) if values is None else np.broadcast_to(values, spec.shape)
        data = np.ascontiguousarray(drawn, np.int8)
        self.start.assign(variable, replace(spec, name=f"{variable}_start", data=data))

    def read(self, variable: str, output: str) -> str:
        self.ops.append(OpSpec("READ_VARIABLE", (self.handle(variable),), (output,)))
        return output

    def assign(self, variable: str, source: str) -> None:
        self.ops.append(OpSpec("ASSIGN_VARIABLE", (self.handle(variable), source), ()))

    def spec(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> ModelSpec:
        start = ModelSpec(tuple(self.start.tensors), tuple(self.start.ops), self.start.inputs, self.start.outputs)
        return ModelSpec(tuple(self.tensors.values()), tuple(self.ops), inputs, outputs, (start,))

    def file(self, inputs: tuple[str, ...] = ("x",), outputs: tuple[str, ...] = ("y",)) -> bytes:
        return write_tflite(self.spec(inputs, outputs))


def ring(steps: int = 4, width: int = 3, channels: int = 8, new: int = 1, seed: int = 0, is_mean: bool = False) -> bytes:
    """A streaming convolution: the last `steps` rows, `new` more, a depthwise convolution over all, and the last rows kept.

    is_mean  a mean over all instead of the convolution
    """
    s = StatefulSketch(seed)
    s.act("x", (1, new, width, channels))
    rows = steps + new
    s.like("old", "x", (1, steps, width, channels))
    s.like("all", "x", (1, rows, width, channels))
    s.like("kept", "x", (1, steps, width, channels))
    s.begins("rows", "old")
    s.read("rows", "old")
    s.op("CONCATENATION", ("old", "x"), "all", axis=1, fusedActivationFunction="NONE")
    limits = (s.const("begin", [0, new, 0, 0]), s.const("end", [0, rows, 0, 0]), s.const("strides", [1, 1, 1, 1]))
    s.op("STRIDED_SLICE", ("all", *limits), "kept", beginMask=13, endMask=13)
    s.assign("rows", "kept")
    if is_mean:
        s.op("MEAN", ("all", s.const("axes", [1, 2])), s.act("y", (1, channels)), keepDims=False)
    else:
        s.depthwise("all", s.act("y", (1, rows, width, channels)), kernel=3)
    return s.file()


def rings(seed: int = 0) -> bytes:
    """Streaming convolutions over time one behind the other, each with its last rows as state; sizes are drawn."""
    rng = np.random.default_rng([seed, 79])
    s = StatefulSketch(seed)
    source, channels, new = "x", int(rng.integers(1, 9)), int(rng.integers(1, 4))
    s.act("x", (1, new, 1, channels))
    for i in range(int(rng.integers(1, 4))):
        steps = int(rng.integers(1, 12))
        rows, begin = steps + new, int(rng.integers(0, new + 1)) if rng.random() < 0.2 else new
        old, whole, kept = (s.like(f"{name}{i}", source, (1, n, 1, channels)) for name, n in
                            (("old", steps), ("all", rows), ("kept", steps)))  # fmt: skip
        s.begins(f"rows{i}", old)
        s.read(f"rows{i}", old)
        s.op("CONCATENATION", (old, source), whole, axis=1, fusedActivationFunction="NONE")
        limits = (s.const(f"b{i}", [0, begin, 0, 0]), s.const(f"n{i}", [1, steps, 1, channels]))
        s.op("SLICE", (whole, *limits), kept)
        s.assign(f"rows{i}", kept)
        s.act(f"sums{i}", (1, rows, 1, channels))
        s.depthwise(whole, f"sums{i}", kernel=3)
        channels, before = int(rng.integers(1, 9)), f"sums{i}"
        new = rows
        source = s.conv(before, s.act(f"out{i}", (1, rows, 1, channels)), channels)
    s.op("ADD", (source, source), s.act("y", s.tensors[source].shape), fusedActivationFunction="NONE")
    return s.file()


def accumulator(shape: tuple[int, ...] = (1, 4, 4, 8), seed: int = 0) -> bytes:
    """sum = sum / 2 + x, which is also the output: the kernel reads and writes the variable."""
    s = StatefulSketch(seed)
    s.act("x", shape)
    s.act("y", shape, 0.05, 0)
    s.like("old", "y", shape)
    s.begins("sum", "old", 3)
    s.read("sum", "old")
    s.op("ADD", ("old", "x"), "y", fusedActivationFunction="NONE")
    s.assign("sum", "y")
    return s.file()


def delay(shape: tuple[int, ...] = (1, 2, 3, 4), seed: int = 0) -> bytes:
    """The output is the input of the step before: the value of before is needed when the next one is there."""
    s = StatefulSketch(seed)
    s.act("x", shape)
    s.like("y", "x", shape)
    s.begins("last", "x")
    s.read("last", "y")
    s.assign("last", "x")
    return s.file()


def swap(shape: tuple[int, ...] = (1, 3, 5), seed: int = 0) -> bytes:
    """Two variables change places, beside what one of them and the input add up to."""
    s = StatefulSketch(seed)
    s.act("x", shape)
    for name in ("a", "b"):
        s.like(f"old_{name}", "x", shape)
        s.begins(name, f"old_{name}")
        s.read(name, f"old_{name}")
    s.assign("a", "old_b")
    s.assign("b", "old_a")
    s.act("y", shape)
    s.op("ADD", ("old_a", "x"), "y", fusedActivationFunction="NONE")
    return s.file()


def read_again(shape: tuple[int, ...] = (1, 4, 6), seed: int = 0) -> bytes:
    """READ, ASSIGN, READ, ASSIGN, READ of one variable in one inference, and a reader of the first behind the last."""
    s = StatefulSketch(seed)
    s.act("x", shape)
    s.begins("v", "x")
    for i in range(3):
        s.like(f"read{i}", "x", shape)
        s.read("v", f"read{i}")
        if i < 2:
            s.op("ADD", (f"read{i}", "x"), s.like(f"more{i}", "x", shape), fusedActivationFunction="NONE")
            s.assign("v", f"more{i}")
    s.act("z", shape)
    s.op("SUB", ("read2", "read0"), "z", fusedActivationFunction="NONE")
    s.act("y", shape)
    s.op("ADD", ("z", "read1"), "y", fusedActivationFunction="NONE")
    return s.file()


def constant_variable(shape: tuple[int, ...] = (1, 5), seed: int = 0) -> bytes:
    """A variable that nothing assigns, one that is assigned before it is read, and one that nothing reads."""
    s = StatefulSketch(seed)
    s.act("x", shape)
    for name in ("fixed", "again"):
        s.like(name, "x", shape)
    s.begins("table", "fixed")
    s.read("table", "fixed")
    s.assign("passing", "x")
    s.read("passing", "again")
    s.act("z", shape)
    s.op("ADD", ("fixed", "again"), "z", fusedActivationFunction="NONE")
    s.assign("unread", "z")
    s.act("y", shape)
    s.op("LOGISTIC", ("z",), s.act("y", shape, 1 / 256, -128))
    return s.file()


def drawn(seed: int) -> bytes:
    """A net of a few variables with drawn operators between reads and assignments, in a drawn order."""
    rng = np.random.default_rng([seed, 77])
    shape = (1, int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 9)))
    s = StatefulSketch(seed)
    s.act("x", shape)
    values, names = ["x"], [f"v{i}" for i in range(int(rng.integers(1, 4)))]
    for name in names:
        s.like(f"{name}_like", "x", shape)
        s.begins(name, f"{name}_like", None if rng.random() < 0.6 else int(rng.integers(-128, 128)))
        s.tensors.pop(f"{name}_like")
    for i in range(int(rng.integers(4, 14))):
        kind, name = rng.random(), str(rng.choice(names))
        if kind < 0.35:
            values.append(s.read(name, s.like(f"t{i}", "x", shape)))
        elif kind < 0.6:
            s.assign(name, str(rng.choice(values)))
        else:
            pair = (str(rng.choice(values[-3:])), str(rng.choice(values)))
            s.op(str(rng.choice(["ADD", "SUB", "MUL"])), pair, s.like(f"t{i}", "x", shape), fusedActivationFunction="NONE")
            values.append(f"t{i}")
    s.op("ADD", (values[-1], "x"), s.act("y", shape), fusedActivationFunction="NONE")
    outputs = ("y", *(str(v) for v in rng.choice(values, int(rng.integers(0, 2)))))
    return s.file(outputs=tuple(dict.fromkeys(outputs)))


GATES = "ifco"


def lstm_sketch(
    seed: int = 0,
    steps: int = 5,
    c_in: int = 6,
    cells: int = 7,
    exponent: int = -12,
    time_major: bool = False,
    gain: float = 8,
    form: str = "",
    units: int = 0,
) -> Sketch:
    """One LSTM on x, which gives y; with this gain its gates see all of their range, whatever scales and weights are drawn.

    form   letters: c without an input gate, p with peepholes, j with a projection, b and its bias, n with normalization
    units  of a projection
    """
    s = Sketch(seed)
    rng = s.rng

    def scale(low: float, high: float) -> float:
        drawn = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        return float(np.float32(2.0 ** round(np.log2(drawn)) if rng.random() < 0.25 else drawn))

    def put(name: str, shape: tuple[int, ...], dtype: str, of: float, zero: int = 0, **more: object) -> str:
        s.tensors[name] = TensorSpec(name, shape, dtype, (of,), (zero,), **more)  # type: ignore[arg-type]
        return name

    lead = (steps, 1) if time_major else (1, steps)
    x_scale, h_scale, h_zero = scale(3e-3, 0.1), scale(4e-3, 2e-2), int(rng.integers(-128, 128))
    put("x", (*lead, c_in), "int8", x_scale, int(rng.integers(-128, 128)))
    units = units if "j" in form else cells
    put("h", (1, units), "int8", h_scale, h_zero, is_variable=True)
    put("c", (1, cells), "int16", 2.0**exponent, is_variable=True)
    put("y", (*lead, units), "int8", h_scale, h_zero)
    gain *= np.exp(rng.uniform(-1, 1))
    weights, recurrent, biases = [], [], []
    for gate in GATES:
        of_x = float(np.float32(gain / (x_scale * 12800 * np.sqrt(c_in)) * np.exp(rng.uniform(-0.5, 0.5))))
        of_h = float(np.float32(gain / (h_scale * 12800 * np.sqrt(units)) * np.exp(rng.uniform(-0.5, 0.5))))
        limit = int(2 / (x_scale * of_x)) + 1
        drawn = [rng.integers(-127, 128, (cells, n)).astype(np.int8) for n in (c_in, units)]
        weights.append(put(f"w{gate}", (cells, c_in), "int8", of_x, data=drawn[0]))
        recurrent.append(put(f"r{gate}", (cells, units), "int8", of_h, data=drawn[1]))
        bias = rng.integers(-limit, limit + 1, cells).astype(np.int32)
        biases.append(put(f"b{gate}", (cells,), "int32", float(np.float32(x_scale * of_x)), data=bias))
    inner = [f"inner{i}" for i in range(4)]
    for name in inner:
        s.tensors[name] = TensorSpec(name, (0,), "float32")
    put("inner4", (0,), "int8", scale(4e-3, 1e-2), int(rng.integers(-50, 50)))
    options: dict[str, object] = {
        "fusedActivationFunction": "TANH",
        "cellClip": float(rng.choice([0.0, 10.0, 1.5])),
        "timeMajor": time_major,
    }
    peepholes = [""] * 3
    if "p" in form:
        drawn_peepholes = rng.integers(-32767, 32768, (3, cells)).astype(np.int16)
        peepholes = [
            put(f"p{g}", (cells,), "int16", scale(1e-5, 2e-4), data=w) for g, w in zip("ifo", drawn_peepholes, strict=True)
        ]
    projection = ["", ""]
    if "j" in form:
        of_projection = float(np.float32(1 / (127 * np.sqrt(cells))))
        data = rng.integers(-127, 128, (units, cells)).astype(np.int8)
        projection[0] = put("j", (units, cells), "int8", of_projection, data=data)
        options["projClip"] = float(rng.choice([0.0, 0.6]))
    if "b" in form:
        scale_of_sums = float(np.float32(of_projection * s.tensors["inner4"].scales[0]))
        projection[1] = put("jb", (units,), "int32", scale_of_sums, data=rng.integers(-3000, 3001, units).astype(np.int32))
    norms = [""] * 4
    if "n" in form:
        for i, gate in enumerate(GATES):
            data = rng.integers(-32767, 32768, cells).astype(np.int16)
            norms[i] = put(f"n{gate}", (cells,), "int16", scale(1e-5, 1e-4), data=data)
            put(inner[i], (0,), "int16", scale(1e-4, 5e-3))
            bias = rng.integers(-(1 << 24), 1 << 24, cells).astype(np.int32)
            s.tensors[f"b{gate}"] = replace(s.tensors[f"b{gate}"], data=bias)
    if "c" in form:
        weights[0] = recurrent[0] = biases[0] = peepholes[0] = norms[0] = ""
        for name in ("wi", "ri", "bi", "pi", "ni"):
            s.tensors.pop(name, None)
    inputs = ("x", *weights, *recurrent, *peepholes, *biases, *projection, "h", "c", *norms)
    s.ops.append(OpSpec("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, ("y",), options, (*inner, "inner4")))
    return s


def lstm(seed: int = 0, **sizes: object) -> bytes:
    """One LSTM, of drawn sizes and cell scale where none are given."""
    rng = np.random.default_rng([seed, 78])
    drawn = {
        "steps": int(rng.integers(1, 6)),
        "c_in": int(rng.integers(1, 14)),
        "cells": int(rng.integers(1, 14)),
        "exponent": int(rng.integers(-15, -8)),
        "time_major": bool(rng.random() < 0.3),
    }
    return lstm_sketch(seed, **{**drawn, **sizes}).file(("x",), ("y",))  # type: ignore[arg-type]


LSTM_FORMS = ("c", "p", "cp", "j", "jb", "cjb", "cpjb", "n", "cpn", "pjn")


def lstm_form(seed: int) -> bytes:
    """An LSTM of one of the forms beside the plain one; with peepholes units are cells, as LiteRT takes them to be."""
    form, rng = LSTM_FORMS[seed % len(LSTM_FORMS)], np.random.default_rng([seed, 81])
    cells = int(rng.integers(1, 14))
    units = cells if "p" in form else int(rng.integers(1, 14))
    return lstm(seed, cells=cells, form=form, units=units)


def svdf(seed: int = 0, **sizes: object) -> bytes:
    """One SVDF, of drawn sizes where none are given."""
    rng = np.random.default_rng([seed, 80])
    drawn = {
        "c_in": int(rng.integers(1, 14)),
        "units": int(rng.integers(1, 7)),
        "rank": int(rng.integers(1, 4)),
        "memory": int(rng.integers(1, 10)),
        "has_bias": bool(rng.random() < 0.7),
    }
    return svdf_sketch(seed, **{**drawn, **sizes}).file(("x",), ("y",))  # type: ignore[arg-type]


def svdf_sketch(
    seed: int = 0, c_in: int = 5, units: int = 2, rank: int = 1, memory: int = 3, has_bias: bool = True, gain: float = 1
) -> Sketch:
    """One SVDF on x, which gives y; with this gain its state sees all of its range, and some sums wrap around."""
    s = Sketch(seed)
    rng, filters = s.rng, units * rank
    x_scale, of_x = (float(np.float32(rng.uniform(0.01, 0.1))) for _ in range(2))
    state_scale = float(np.float32(x_scale * of_x * 70 * 70 * np.sqrt(c_in) / 12000 / gain))
    of_memory = float(np.float32(rng.uniform(1e-5, 1e-4)))
    y_scale = float(np.float32(state_scale * of_memory * 9000 * 9000 * np.sqrt(memory * rank) / 60))
    s.act("x", (1, c_in), x_scale, int(rng.integers(-128, 128)))
    s.act("y", (1, units), y_scale, int(rng.integers(-128, 128)))
    s.tensors["state"] = TensorSpec("state", (1, filters * memory), "int16", (state_scale,), (0,), is_variable=True)
    weights, taps = rng.integers(-127, 128, (filters, c_in)), rng.integers(-32767, 32768, (filters, memory))
    s.tensors["w"] = TensorSpec("w", (filters, c_in), "int8", (of_x,), (0,), data=weights.astype(np.int8))
    s.tensors["t"] = TensorSpec("t", (filters, memory), "int16", (of_memory,), (0,), data=taps.astype(np.int16))
    if has_bias:
        bias = rng.integers(-(1 << 29), 1 << 29, units).astype(np.int32)
        s.tensors["b"] = TensorSpec("b", (units,), "int32", (float(np.float32(state_scale * of_memory)),), (0,), data=bias)
    inputs = ("x", "w", "t", "b" if has_bias else "", "state")
    s.ops.append(OpSpec("SVDF", inputs, ("y",), {"rank": rank, "fusedActivationFunction": "RELU"}))
    return s


MODELS = {
    "ring": ring,
    "rings": rings,
    "accumulator": accumulator,
    "delay": delay,
    "swap": swap,
    "read_again": read_again,
    "constant_variable": constant_variable,
    "lstm": lstm,
    "svdf": svdf,
}
