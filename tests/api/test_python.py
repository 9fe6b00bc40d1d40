"""The Python functions: what they take, and that the C answers as the proofs say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import flynet_tiny as ft
from flynet_tiny.api.arrays import MOST_SAMPLES, as_array, samples_of
from flynet_tiny.codegen import reference
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.deploy.contents import read_contents
from flynet_tiny.errors import BadData, UnknownTarget, UsageError
from flynet_tiny.flynet.data.images import normalise
from flynet_tiny.flynet.data.pixels import Pixels
from flynet_tiny.sources.preprocessing import Preprocessing

from ..foreign_models import classifier
from ..stateful_models import accumulator

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (24, 12, 12, 3), np.uint8)
SHAPE = (1, 3, 12, 12)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> ft.Deployment:
    file = tmp_path_factory.mktemp("net") / "net.onnx"
    file.write_bytes(classifier().SerializeToString())
    labels = RANDOM.integers(0, 4, len(PIXELS))
    return ft.compile(
        file,
        target="stm32f412",
        input_shapes=SHAPE,
        calibration=PIXELS,
        data=(PIXELS, labels),
        preprocess=ft.Normalize(0.5, (0.5, 0.25, 0.5)),
        labels=("a", "b", "c", "d"),
        emulate=False,
    )


def normalised() -> np.ndarray:
    return normalise(PIXELS, 3, Pixels((0.5,), (0.5, 0.25, 0.5)))


def test_the_verdict_is_that_of_the_command_line(deployed: ft.Deployment) -> None:
    assert deployed.fits
    assert deployed.over_budget is None
    assert deployed.flash == deployed.report.flash.used_bytes
    assert deployed.ram == deployed.report.ram.used_bytes
    assert deployed.report.model.class_names == ("a", "b", "c", "d")
    assert [pair.differing for pair in deployed.report.verification] == [0, 0]
    assert deployed.report.accuracy.images == 24


def test_floats_in_give_floats_out_near_the_float_network(deployed: ft.Deployment) -> None:
    x = normalised()
    session = onnxruntime.InferenceSession(deployed.folder / "model.onnx", providers=["CPUExecutionProvider"])
    expected = np.concatenate([session.run(None, {"x": image[None]})[0] for image in x])
    found = deployed.run(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.03)
    np.testing.assert_array_equal(deployed.run(torch.from_numpy(x)), found)
    np.testing.assert_array_equal(deployed.run({"x": x[:3]}), found[:3])


def test_pictures_in_bytes_are_normalised_as_was_said(deployed: ft.Deployment) -> None:
    np.testing.assert_array_equal(deployed.run(PIXELS), deployed.run(normalised()))


def test_int8_in_gives_the_int8_of_the_reference_out(deployed: ft.Deployment) -> None:
    graph = read_tflite(deployed.tflite)
    stored = RANDOM.integers(-128, 128, (5, 12, 12, 3)).astype(np.int8)
    found = deployed.run(stored)
    assert found.dtype == np.int8
    expected = [reference.run(graph, {graph.inputs[0]: one[None]})[graph.outputs[0]][0] for one in stored]
    np.testing.assert_array_equal(found, expected)


def test_inputs_that_do_not_fit_are_refused(deployed: ft.Deployment) -> None:
    with pytest.raises(BadData, match=r"the network takes \[N, 3, 12, 12\]"):
        deployed.run(np.zeros((2, 3, 11, 12), np.float32))
    with pytest.raises(BadData, match="2 arrays are given; the network has 1 inputs: x"):
        deployed.run(PIXELS, PIXELS)
    with pytest.raises(BadData, match="an int8 input is"):
        deployed.run(np.zeros((2, 3, 12, 12), np.int8))


def test_it_is_proven_again_on_the_users_inputs(deployed: ft.Deployment) -> None:
    pairs = deployed.verify(PIXELS[:3])
    assert [(pair.inputs, pair.differing) for pair in pairs] == [(6, 0), (6, 0)]
    assert [pair.inputs for pair in deployed.verify(count=2)] == [5, 5]


def test_the_saved_folder_is_one_of_ours(deployed: ft.Deployment, tmp_path: Path) -> None:
    out = deployed.save(tmp_path / "out")
    found = read_contents(out)
    assert not found.changed
    assert found.report == deployed.report
    assert (out / "firmware" / "net.elf").is_file()
    assert deployed.save(out) == out


def test_state_goes_on_from_call_to_call_until_it_is_reset(tmp_path: Path) -> None:
    (tmp_path / "sum.tflite").write_bytes(accumulator())
    deployed = ft.compile(tmp_path / "sum.tflite", target="stm32f412", emulate=False)
    graph = read_tflite(deployed.tflite)
    x = RANDOM.integers(-20, 20, (3, *graph.tensor(graph.inputs[0]).shape[1:])).astype(np.int8)
    first = deployed.run(x)
    assert not np.array_equal(deployed.run(x), first)
    deployed.reset()
    np.testing.assert_array_equal(deployed.run(x), first)


SHAPES = {"x": (1, 5)}
VALUES = RANDOM.normal(size=(10, 5)).astype(np.float32)
LABELS = np.arange(10) % 3


@pytest.mark.parametrize(
    "given",
    [
        (VALUES, LABELS),
        DataLoader(TensorDataset(torch.from_numpy(VALUES), torch.from_numpy(LABELS)), batch_size=4),
        [(VALUES[:3], LABELS[:3]), (VALUES[3:], LABELS[3:])],
        {"x": VALUES, "labels": LABELS},
    ],
    ids=["arrays", "loader", "batches", "by name"],
)
def test_labelled_inputs_are_taken_in_every_form(given: object) -> None:
    found = samples_of(given, SHAPES, Preprocessing(), "val", with_labels=True)
    np.testing.assert_array_equal(found.only, VALUES)
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels, LABELS)
    unlabelled = samples_of(given, SHAPES, Preprocessing(), "val", with_labels=False)
    assert unlabelled.labels is None
    np.testing.assert_array_equal(unlabelled.only, VALUES)


def test_of_an_endless_loader_enough_is_taken() -> None:
    def endless() -> object:
        while True:
            yield np.zeros((1000, 5), np.float32)

    assert MOST_SAMPLES <= len(samples_of(endless(), SHAPES, Preprocessing(), "val", with_labels=False)) < MOST_SAMPLES + 1000


def test_what_is_no_data_or_no_model_is_one_line() -> None:
    with pytest.raises(UsageError, match="not int"):
        samples_of(7, SHAPES, Preprocessing(), "val", with_labels=False)
    with pytest.raises(BadData, match="no batches"):
        samples_of([], SHAPES, Preprocessing(), "val", with_labels=False)
    with pytest.raises(BadData, match=r"give the inputs and their labels: \(x, labels\)"):
        samples_of(VALUES, SHAPES, Preprocessing(), "val", with_labels=True)
    with pytest.raises(BadData, match="holds no numbers"):
        as_array(["a"])
    with pytest.raises(UnknownTarget, match="did you mean"):
        ft.compile("net.onnx", target="stm32f421")
    with pytest.raises(UsageError, match="example_inputs go with a module"):
        ft.compile("net.onnx", target="stm32f412", example_inputs=(VALUES,))
    with pytest.raises(UsageError, match="give example_inputs, a tuple"):
        ft.compile(torch.nn.ReLU(), target="stm32f412", calibration=VALUES)
