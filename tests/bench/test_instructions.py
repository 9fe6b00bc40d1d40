"""Emulated instructions are deterministic: what the kernels have reached is held here, so that nobody loses it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flynet_tiny.bench.layers import LAYERS
from flynet_tiny.bench.measure import Measured, measure, measure_mobilenet
from flynet_tiny.bench.networks import mobilenet_v1
from flynet_tiny.bench.peers import peers_of_layer, public_files
from flynet_tiny.bench.present import as_chart, as_json, as_table, files_as_table
from flynet_tiny.bench.public_files import Refused, measure_files
from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.targets import get_target
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.deploy.console import Reporter
from flynet_tiny.deploy.network import NetworkRequest, prepare_network
from flynet_tiny.deploy.quantizing import quantize_network
from flynet_tiny.errors import BadData

from .. import one_op_models

TARGET = "stm32f412"
MARGIN = 1.02

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
    for peer, instructions in peers_of_layer(name).items():
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
    assert replace(renamed, sha256=known.sha256).peers == {"tflm_cmsis_nn": 24_700_000}
    table = files_as_table(rows)
    assert renamed.sha256 in table
    assert known.origin in table
    assert "x)" not in table


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


@pytest.mark.slow
def test_flynet_at_224_stays_below_its_limits() -> None:
    """0.4x with all its attention, 20.7 M MACs; TFLM + CMSIS-NN needs 792.3 M. The input picture alone takes 150,528 bytes."""
    model = quantize_network(prepare_network(NetworkRequest(), Reporter()), Reporter())
    found = measure("flynet", read_tflite(model.tflite, "flynet"), get_target(TARGET))
    assert found.instructions <= 36_000_000
    assert compile_tflite(model.tflite, "flynet", build_named(TARGET)).plan.arena_bytes <= 155_000
