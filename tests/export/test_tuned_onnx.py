"""Weights that changed after lowering find back into the float ONNX model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from flynet_tiny.errors import BadModel
from flynet_tiny.export.finetune import FineTuningRecipe, fine_tune
from flynet_tiny.export.float_graph import FloatGraph
from flynet_tiny.export.lower import lower
from flynet_tiny.export.onnx_file import onnx_file
from flynet_tiny.export.simulate import SimulatedNetwork
from flynet_tiny.export.tflite_export import CalibratedNetwork
from flynet_tiny.export.tuned_onnx import with_weights_of

from .zoo import Zoo, calibrated, images


def changed(graph: FloatGraph) -> FloatGraph:
    """Every weight and bias a little different, none like another."""
    rng = np.random.default_rng(5)

    def other(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else (values + rng.normal(0, 0.1, values.shape)).astype(np.float32)

    return replace(graph, ops=tuple(replace(op, weights=other(op.weights), bias=other(op.bias)) for op in graph.ops))


def run(model: bytes, pictures: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: picture[None]})[0].reshape(1, -1) for picture in pictures])


class Flattened(nn.Module):
    """A map's elements in torch's order before a layer: lowering puts the layer's columns into another order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=3)
        self.shared = nn.Linear(64, 64)
        self.classify = nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv(x)).flatten(1)
        return self.classify(torch.relu(self.shared(self.shared(x))))


class Shuffled(nn.Module):
    """Channels shuffled between convolutions in groups: lowering puts the weights of the second in the order of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, stride=2)
        self.groups = nn.Conv2d(12, 12, 1, groups=3)
        self.channels = nn.Conv2d(12, 12, 3, groups=12, bias=False)
        self.classify = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.groups(self.conv(x)))
        n, c, h, w = x.shape
        x = x.reshape(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.classify(self.channels(x).mean((2, 3)))


@pytest.fixture(scope="module", params=[Zoo, Flattened, Shuffled])
def network(request: pytest.FixtureRequest) -> CalibratedNetwork:
    torch.manual_seed(0)
    return calibrated(request.param().eval())


def test_the_model_computes_what_the_changed_graph_computes(network: CalibratedNetwork) -> None:
    tuned = changed(network.graph)
    module = SimulatedNetwork(tuned, network.affine, in_int8=False)
    with torch.no_grad():
        expected = module(module.images_as_held(images())).numpy()
    found = run(onnx_file(with_weights_of(network.onnx, tuned)), images())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(found - run(onnx_file(network.onnx), images())).max() > 0.1


def test_the_model_lowers_to_the_changed_graph(network: CalibratedNetwork) -> None:
    tuned = changed(network.graph)
    again = [op for op in lower(with_weights_of(network.onnx, tuned)).ops if op.weights is not None]
    wanted = [op for op in tuned.ops if op.weights is not None]
    for found, op in zip(again, wanted, strict=True):
        assert np.array_equal(found.weights, op.weights)
        assert (found.bias is None) == (op.bias is None)
        assert op.bias is None or np.array_equal(found.bias, op.bias)


def test_unchanged_weights_give_the_same_model(network: CalibratedNetwork) -> None:
    found = run(onnx_file(with_weights_of(network.onnx, network.graph)), images())
    np.testing.assert_allclose(found, run(onnx_file(network.onnx), images()), rtol=1e-6, atol=1e-6)


def test_the_file_has_names_and_shapes_and_is_repeatable(network: CalibratedNetwork) -> None:
    data = onnx_file(network.onnx)
    assert data == onnx_file(network.onnx)
    model = onnx.load_from_string(data)
    assert [value.name for value in model.graph.output] == ["output"]
    assert [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim] == [1, 5]
    names = [node.name for node in model.graph.node]
    assert "classify" in names or "output" in names
    assert len(set(names)) == len(names)


class Doubled(nn.Module):
    """A channel taken twice: lowering makes one filter two."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.classify = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).index_select(1, torch.tensor([0, 1, 2, 2, 3]))
        return self.classify(torch.relu(x).mean((2, 3)))


def test_weights_that_lowering_doubles_are_refused_before_any_training() -> None:
    network = calibrated(Doubled().eval())
    with pytest.raises(BadModel, match="Conv 'conv' cannot be traced back"):
        fine_tune(network, lambda epoch: pytest.fail("it has begun"), FineTuningRecipe(1))
