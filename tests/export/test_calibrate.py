"""Calibration finds the ranges that NumPy finds, without keeping the images."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.errors import BadModel
from flynet_tiny.export.calibrate import RangeMethod, calibrate
from flynet_tiny.export.onnx_graph import load_onnx

from .onnx_models import OnnxModel


@pytest.fixture
def graph():
    m = OnnxModel(1, 3, 5, 5)
    m.conv(m("HardSwish", m.conv("x", 3, 4)), 4, 2)
    return load_onnx(m.build())


CONTRASTS = np.linspace(1, 5, 40).reshape(-1, 1, 1, 1)
IMAGES = (np.random.default_rng(5).normal(size=(40, 3, 5, 5)) * CONTRASTS).astype(np.float32)


def all_values(graph) -> dict[str, np.ndarray]:
    names = [node.output for node in graph.nodes]
    runs = [graph.session(names).run(names, {"x": image[None]}) for image in IMAGES]
    return {"x": IMAGES, **{name: np.concatenate(found) for name, found in zip(names, zip(*runs, strict=True), strict=True)}}


def test_min_and_max_are_over_all_images_of_all_batches(graph):
    done = []
    found = calibrate(graph, ["x", "v0", "v1", "v2"], [IMAGES[:3], IMAGES[3:]], progress=done.append)
    assert found.num_images == 40
    assert done == list(range(1, 41))
    for name, value in all_values(graph).items():
        assert found.ranges[name].low == pytest.approx(value.min(), rel=1e-5)
        assert found.ranges[name].high == pytest.approx(value.max(), rel=1e-5)


@pytest.mark.parametrize("percentile", [90.0, 99.0])
def test_percentiles_cut_both_tails_and_see_every_image_once(graph, percentile):
    found = calibrate(graph, ["x", "v0"], iter([IMAGES]), method=RangeMethod.PERCENTILE, percentile=percentile)
    for name in ("x", "v0"):
        value = all_values(graph)[name]
        low, high = found.ranges[name].low, found.ranges[name].high
        assert (value < low).mean() == pytest.approx((100 - percentile) / 200, abs=0.004)
        assert (value > high).mean() == pytest.approx((100 - percentile) / 200, abs=0.004)
        assert found.ranges[name].high < value.max()


def test_the_hundredth_percentile_is_min_and_max(graph):
    found = calibrate(graph, ["v0"], [IMAGES], method=RangeMethod.PERCENTILE, percentile=100.0)
    value = all_values(graph)["v0"]
    assert (found.ranges["v0"].low, found.ranges["v0"].high) == pytest.approx((value.min(), value.max()), rel=1e-6)


@pytest.mark.parametrize("method", list(RangeMethod))
def test_a_network_that_overflows_is_named(method):
    m = OnnxModel(1, 3, 5, 5)
    m.conv(m.conv("x", 3, 4), 4, 2)
    huge = OnnxModel(1, 3, 5, 5)
    huge("Mul", huge("Mul", "x", np.float32(1e30)), np.float32(1e30))
    with pytest.raises(BadModel, match="'v1'"):
        calibrate(load_onnx(huge.build()), ["v0", "v1"], [IMAGES], method=method)
