from __future__ import annotations

import pytest

from flynet_tiny.codegen.build import build_for
from flynet_tiny.codegen.compiler import compile_graph
from flynet_tiny.codegen.targets import get_target
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.report.layers import layers_of
from flynet_tiny.report.schema import Layer

from .. import one_op_models, stateful_models

CORES = ["stm32g0b1", "stm32f103", "stm32f412"]  # plain C without and with long multiplication, DSP
WITH_WEIGHTS = {
    "convolution": lambda: one_op_models.conv_2d(seed=1),
    "depthwise": lambda: one_op_models.depthwise_conv_2d(seed=2),
    "fully connected": lambda: one_op_models.fully_connected(seed=3),
    "lstm": stateful_models.lstm,
}


def only_layer(model: bytes, target: str) -> Layer:
    (layer,) = layers_of(compile_graph(read_tflite(model), "0" * 64, build_for(get_target(target))), None)
    return layer


@pytest.mark.parametrize("target", CORES)
@pytest.mark.parametrize("kind", WITH_WEIGHTS)
def test_weights_and_their_factors_are_no_tables_on_any_core(kind: str, target: str) -> None:
    layer = only_layer(WITH_WEIGHTS[kind](), target)
    assert layer.weights_bytes >= layer.parameter_bytes > 0
    assert layer.tables_bytes == 0
    assert layer.stored.startswith("int")


@pytest.mark.parametrize("target", CORES)
def test_a_lookup_table_is_no_weights(target: str) -> None:
    layer = only_layer(one_op_models.unary("LOGISTIC", seed=4), target)
    assert (layer.weights_bytes, layer.tables_bytes, layer.stored) == (0, 256, "")
