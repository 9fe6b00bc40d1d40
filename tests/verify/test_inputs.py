from __future__ import annotations

import numpy as np

from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.verify.inputs import extreme_inputs

from ..one_op_models import binary


def test_extremes_then_noise_for_every_input() -> None:
    graph = read_tflite(binary("ADD", 0, (1, 30, 30), (30, 30)))
    named = extreme_inputs(graph, num_noise=2, seed=5)
    assert [n.name for n in named] == ["all -128", "all 127", "noise 0", "noise 1"]
    for n in named:
        assert {name: (v.shape, v.dtype) for name, v in n.values.items()} == {
            "x": ((1, 30, 30), np.int8), "z": ((30, 30), np.int8)
        }  # fmt: skip
    assert set(np.unique(named[0].values["x"])) == {-128}
    assert set(np.unique(named[1].values["z"])) == {127}
    assert (named[2].values["x"].min(), named[2].values["x"].max()) == (-128, 127)
    assert not np.array_equal(named[2].values["x"], named[3].values["x"])


def test_equal_seeds_give_equal_noise() -> None:
    graph = read_tflite(binary("ADD", 0))
    first, again, other = (extreme_inputs(graph, 1, seed)[-1].values["x"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
