"""Emulated instructions are deterministic: what the kernels have reached is held here, so that nobody loses it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.bench.layers import LAYERS
from flynet_tiny.bench.measure import Measured, measure, measure_mobilenet
from flynet_tiny.bench.networks import mobilenet_v1
from flynet_tiny.bench.peers import peers_of_layer, public_files
from flynet_tiny.bench.present import as_chart, as_json, as_table, files_as_table
from flynet_tiny.bench.public_files import Refused, measure_files
from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import ConvAttrs, DType, Graph, Op, OpKind, Quantization, Tensor, Window
from flynet_tiny.codegen.targets import get_target
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import verify_graph
from flynet_tiny.deploy.console import Reporter
from flynet_tiny.deploy.network import NetworkRequest, prepare_network
from flynet_tiny.deploy.quantizing import quantize_network
from flynet_tiny.errors import BadData

from .. import one_op_models

TARGET = "stm32f412"
MARGIN = 1.02
WIDTH_ONE = 963_827

# Instructions reached on the Cortex-M4, `flynet-tiny bench --layers-only`; lower them when a kernel gets faster.
REACHED = {
    "PW1": 1_276_363,
    "PW2": 465_122,
    "PW3": 607_126,
    "PW4": 352_725,
    "STEM": 3_129_888,
    "DW3": 509_532,
    "DW5": 565_182,
    "DW3s2": 573_331,
    "MDW3": 1_387_534,
    "MDW5": 1_603_996,
    "FC1": 103_704,
    "FC2": 434_832,
    "ADD": 45_096,
}

# Instructions per MAC (ADD: per element) that the kernels must never exceed.
LIMITS = {
    "PW1": 2.1, "PW2": 1.22, "PW3": 1.02, "PW4": 1.02, "STEM": 1.5, "DW3": 2.4, "DW5": 1.65, "DW3s2": 3.3, "MDW3": 1.9,
    "MDW5": 1.3, "FC2": 1.4, "ADD": 12.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def measured() -> Callable[[str], Measured]:
    """Each layer measured once; `measure` also compares the outputs with the reference."""
    known: dict[str, Measured] = {}

    def get(name: str) -> Measured:
        if name not in known:
            known[name] = measure(name, LAYERS[name](), get_target(TARGET))
        return known[name]

    return get


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_layer_keeps_its_speed_and_beats_every_peer(name: str, measured: Callable[[str], Measured]) -> None:
    found = measured(name)
    assert found.instructions <= REACHED[name] * MARGIN
    assert found.per_unit <= LIMITS.get(name, 2.0)
    for peer, instructions in peers_of_layer(name, found.core).items():
        assert found.instructions < instructions, peer


def test_counts_are_the_same_on_every_run(measured: Callable[[str], Measured]) -> None:
    assert measure("ADD", LAYERS["ADD"](), get_target(TARGET)) == measured("ADD")


def test_a_mobilenet_of_random_weights_guards_its_gain_and_is_compared_with_nobody() -> None:
    found = measure_mobilenet(get_target(TARGET))
    assert found.macs == 7_489_664
    assert found.instructions <= 7_760_000 * MARGIN
    assert not found.peers


def with_dead_channels(graph: Graph) -> Graph:
    """Every second output of each CONV_2D but the last is what RELU makes of 0, whatever the picture."""
    tensors = dict(graph.tensors)
    convolutions = [op for op in graph.ops if op.kind is OpKind.CONV_2D]
    for op in convolutions[:-1]:
        for name in op.inputs[1:]:
            data = tensors[name].constant().copy()
            data[1::2] = 0
            tensors[name] = replace(tensors[name], data=data)
    return replace(graph, tensors=tensors)


def test_dead_channels_cost_nothing() -> None:
    """A network half of whose channels never change, as of public ones; whole it takes 7.65 M instructions and 292 KB."""
    found = measure("dead", with_dead_channels(mobilenet_v1()), get_target(TARGET))
    assert found.macs == 2_196_544
    assert found.instructions <= 2_629_000 * MARGIN
    assert found.flash_bytes <= 127_300 * MARGIN


def test_a_benchmark_is_shown_as_json_table_and_chart(measured: Callable[[str], Measured]) -> None:
    found = [measured("ADD"), measured("FC1")]
    layers = json.loads(as_json(TARGET, found, []))["layers"]
    assert [layer["name"] for layer in layers] == ["ADD", "FC1"]
    assert {"name", "macs", "instructions", "code_bytes", "scratch_bytes"} <= set(layers[0])
    assert f"{found[1].instructions:,}" in as_table(found)
    assert as_table([replace(found[0], name="a\nb.tflite")]).count("\n") == 2
    chart = as_chart(found)
    assert chart.startswith("<svg")
    assert chart.count("CMSIS-NN") == 2


def test_files_of_a_folder_stand_beside_peers_only_by_their_hash(tmp_path: Path) -> None:
    """A file that is only called like a public one has no peer; missing and refused ones say so."""
    known = public_files()[0]
    (tmp_path / known.file).write_bytes(one_op_models.CASES["ADD"](0))
    (tmp_path / "broken.tflite").write_bytes(b"TFL3" * 8)
    rows = measure_files(tmp_path, get_target(TARGET), lambda done, total, text: None)
    assert [row.name for row in rows] == [*(public.file for public in public_files()), "broken.tflite", known.file]
    *missing, broken, renamed = rows
    assert all(isinstance(row, Refused) and "not in the folder" in row.why for row in missing)
    assert isinstance(broken, Refused)
    assert isinstance(renamed, Measured)
    assert not renamed.peers
    public = replace(renamed, sha256=known.sha256)
    assert public.peers == {"tflm_cmsis_nn": 24_700_000}
    table = files_as_table(rows)
    assert renamed.sha256 in table
    assert known.origin in table
    assert "x)" not in table
    assert "x)" in files_as_table([public])


def test_no_peer_stands_beside_a_core_that_it_was_not_measured_on(measured: Callable[[str], Measured]) -> None:
    layer = measured("ADD")
    file = replace(layer, sha256=public_files()[0].sha256)
    assert layer.peers
    assert file.peers
    for shown in (as_table, files_as_table):
        assert "CMSIS-NN" in shown([layer if shown is as_table else file])
        elsewhere = shown([replace(row, core="cortex-m0plus") for row in (layer, file)])
        assert "CMSIS-NN" not in elsewhere
        assert "peers: measured on a cortex-m4 only" in elsewhere


def test_a_file_that_cannot_be_read_does_not_end_the_others(tmp_path: Path) -> None:
    (tmp_path / "good.tflite").write_bytes(one_op_models.CASES["ADD"](0))
    (tmp_path / "folder.tflite").mkdir()
    os.mkfifo(tmp_path / "pipe.tflite")
    rows = measure_files(tmp_path, get_target(TARGET), lambda done, total, text: None)[len(public_files()) :]
    assert [(row.name, isinstance(row, Measured)) for row in rows] == [
        ("good.tflite", True),
        ("folder.tflite", False),
        ("pipe.tflite", False),
    ]
    assert "is a folder" in files_as_table(rows)
    assert json.loads(as_json(TARGET, [], [], [row for row in rows if isinstance(row, Refused)]))["refused"][1]["sha256"] == ""


def test_a_folder_without_models_is_bad_data(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadData):
            measure_files(folder, get_target(TARGET), lambda done, total, text: None)


def width_one(seed: int = 5) -> Graph:
    """A network over time, [1, time, 1, channels]: depthwise windows along it, 1x1 convolutions, at last the whole map."""
    rng = np.random.default_rng(seed)
    scale = float(np.float32(2 / 255))
    tensors, ops, channels, time = [Tensor("input", (1, 30, 1, 40), DType.INT8, Quantization((scale,), (-1,)))], [], 40, 30

    def conv(taps: int, c_out: int, is_depthwise: bool) -> None:
        nonlocal channels, time
        time -= taps - 1
        index, axis, fan_in = len(ops), 3 if is_depthwise else 0, taps if is_depthwise else channels
        shape = (1, taps, 1, channels) if is_depthwise else (c_out, 1, 1, channels)
        scales = tuple(float(s) for s in (rng.uniform(0.5, 1.0, c_out) * 0.03 / np.sqrt(fan_in)).astype(np.float32))
        weights = rng.integers(-127, 128, shape).astype(np.int8)
        bias = rng.integers(-500, 500, c_out).astype(np.int32)
        constants = (
            Tensor(f"w{index}", shape, DType.INT8, Quantization(scales, (0,) * c_out, axis), weights),
            Tensor(f"b{index}", (c_out,), DType.INT32, None, bias),
        )
        output = Tensor(f"t{index}", (1, time, 1, c_out), DType.INT8, Quantization((scale,), (-128,)))
        names, attrs = (tensors[-1].name, *(c.name for c in constants)), ConvAttrs(Window(taps, 1), -128, 127, int(is_depthwise))
        kind = OpKind.DEPTHWISE_CONV_2D if is_depthwise else OpKind.CONV_2D
        ops.append(Op(kind, names, (output.name,), attrs, index))
        tensors.extend((*constants, output))
        channels = c_out

    for taps, c_out in ((3, 128), (5, 128), (10, 128), (15, 32)):
        conv(taps, channels, is_depthwise=True)
        conv(1, c_out, is_depthwise=False)
    return verify_graph(Graph("width_one", {t.name: t for t in tensors}, tuple(ops), ("input",), (tensors[-1].name,)))


def test_a_network_of_width_one_keeps_its_speed() -> None:
    """Its last pixels are no whole tiles, and its last window is the whole map: both were slow in functions that layers share."""
    assert measure("width_one", width_one(), get_target(TARGET)).instructions <= WIDTH_ONE * MARGIN


@pytest.mark.slow
def test_flynet_at_32_keeps_its_speed() -> None:
    """Maps of 2x2 and of one pixel: most taps of 5x5 windows meet padding, and what is done for each channel counts."""
    model = quantize_network(prepare_network(NetworkRequest(resolution=32, classes=10), Reporter()), Reporter())
    assert measure("flynet", read_tflite(model.tflite, "flynet"), get_target(TARGET)).instructions <= 1_330_070 * MARGIN


@pytest.mark.slow
def test_flynet_at_224_stays_below_its_limits() -> None:
    """0.4x with all its attention, 20.7 M MACs; TFLM + CMSIS-NN needs 792.3 M. The input picture alone takes 150,528 bytes."""
    model = quantize_network(prepare_network(NetworkRequest(), Reporter()), Reporter())
    found = measure("flynet", read_tflite(model.tflite, "flynet"), get_target(TARGET))
    assert found.instructions <= 36_300_000
    assert compile_tflite(model.tflite, "flynet", build_named(TARGET)).plan.arena_bytes <= 155_000
