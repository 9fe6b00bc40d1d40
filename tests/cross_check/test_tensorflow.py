"""TensorFlow as a witness (`make test-tensorflow`): our files in tf.lite, its files in our compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flynet_tiny.bench.measure import measure
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.reference import run
from flynet_tiny.codegen.targets import get_target
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt

from ..one_op_models import CASES
from ..small_models import attention_block, mdw_max_out

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def tf() -> Any:
    import tensorflow

    return tensorflow


def random_inputs(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.integers(-128, 128, graph.tensor(name).shape).astype(np.int8) for name in graph.inputs}


def all_tensors(tf: Any, data: bytes, graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every activation as TensorFlow's own reference kernels compute it."""
    interpreter = tf.lite.Interpreter(
        model_content=data,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for name, values in inputs.items():
        interpreter.set_tensor(graph.tensor(name).source_index, values)
    interpreter.invoke()
    found = {t.name: t.source_index for t in graph.activations() if t.source_index is not None}
    return {name: interpreter.get_tensor(index) for name, index in found.items()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(CASES) - {"FULLY_CONNECTED"}))
def test_tensorflow_computes_every_operator_as_the_reference_does(tf: Any, name: str) -> None:
    """FULLY_CONNECTED is left out: its rounding changed between LiteRT and TensorFlow's releases."""
    for seed in range(4):
        data = CASES[name](seed)
        graph = read_tflite(data)
        inputs = random_inputs(graph, seed)
        expected = run(graph, inputs)
        for tensor, values in all_tensors(tf, data, graph, inputs).items():
            np.testing.assert_array_equal(values, expected[tensor], err_msg=f"{name} seed {seed} {tensor}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("data", [attention_block(seed=4), mdw_max_out(seed=4)])
def test_tensorflow_computes_a_flynet_block_as_the_reference_does(tf: Any, data: bytes) -> None:
    graph = read_tflite(data)
    inputs = random_inputs(graph, 1)
    expected = run(graph, inputs)
    for tensor, values in all_tensors(tf, data, graph, inputs).items():
        np.testing.assert_array_equal(values, expected[tensor], err_msg=tensor)


def converted(tf: Any, model: Any, rng: np.random.Generator) -> bytes:
    """A Keras model in int8, input and output included, by TensorFlow's own converter."""
    shape = model.inputs[0].shape
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([rng.random(shape, np.float32)] for _ in range(16))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    data: bytes = converter.convert()
    return data


@pytest.mark.filterwarnings("ignore")
def test_a_shuffle_unit_of_tensorflow_compiles(tf: Any) -> None:
    """ShuffleNet's: 1x1 convolutions in groups with a channel shuffle and a depthwise convolution between."""
    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    image = tf.keras.Input((8, 8, 12), batch_size=1)
    x = layers.Conv2D(24, 1, groups=3, activation="relu")(image)
    x = layers.Permute((1, 2, 4, 3))(layers.Reshape((8, 8, 3, 8))(x))
    x = layers.DepthwiseConv2D(3, padding="same")(layers.Reshape((8, 8, 24))(x))
    model = tf.keras.Model(image, layers.Add()([layers.Conv2D(12, 1, groups=3)(x), image]))
    data = converted(tf, model, np.random.default_rng(0))
    graph = read_tflite(data)
    kinds = [op.kind.value for op in graph.ops if op.kind.value != "RESHAPE"]
    assert kinds == ["CONV_2D", "TRANSPOSE", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD"]
    inputs = random_inputs(graph, 1)
    expected = run(graph, inputs)
    for tensor, values in all_tensors(tf, data, graph, inputs).items():
        np.testing.assert_array_equal(values, expected[tensor], err_msg=tensor)


def keras_networks(tf: Any) -> dict[str, Callable[[], Any]]:
    """What people build with Keras, on a batch that the converter does not know."""
    layers = tf.keras.layers

    def in_order(shape: tuple[int, ...], *steps: Any) -> Any:
        image = x = tf.keras.Input(shape)
        for step in steps:
            x = step(x)
        return tf.keras.Model(image, x)

    def causal() -> Any:
        signal = x = tf.keras.Input((24, 4))
        for dilation in (1, 2, 4):
            x = layers.Add()([x, layers.Conv1D(4, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)])
        return tf.keras.Model(signal, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x)))

    def squeeze_excite() -> Any:
        image = tf.keras.Input((8, 8, 3))
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
        gates = layers.Dense(8, activation="sigmoid")(layers.Dense(2, activation="relu")(layers.GlobalAveragePooling2D()(x)))
        x = layers.Multiply()([x, layers.Reshape((1, 1, 8))(gates)])
        return tf.keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))

    return {
        "conv1d": lambda: in_order((20, 3), layers.Conv1D(4, 5), layers.MaxPooling1D(2), layers.Flatten(), layers.Dense(3)),
        "causal": causal,
        "dilated": lambda: in_order(
            (9, 11, 3), layers.Conv2D(4, 3, padding="same", dilation_rate=2), layers.DepthwiseConv2D(3, dilation_rate=2)
        ),
        "reshape": lambda: in_order((48,), layers.Reshape((4, 4, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)),
        "dense": lambda: in_order((5, 6), layers.Dense(8, activation="relu"), layers.Dense(4), layers.Flatten(), layers.Dense(2)),
        "squeeze_excite": squeeze_excite,
        "mobilenet_v3": lambda: tf.keras.applications.MobileNetV3Small((32, 32, 3), weights=None, classes=3),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_float", [True, False])
@pytest.mark.parametrize("name", ["conv1d", "causal", "dilated", "reshape", "dense", "squeeze_excite", "mobilenet_v3"])
def test_what_keras_builds_compiles_and_is_exact(tf: Any, name: str, is_float: bool) -> None:
    """With the converter's default ends in float32, or int8 ones, and the batch None."""
    tf.keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = keras_networks(tf)[name]()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    shape = (1, *model.inputs[0].shape[1:])
    converter.representative_dataset = lambda: ([rng.normal(size=shape).astype(np.float32)] for _ in range(8))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if not is_float:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    data = converter.convert()
    compiled = compile_tflite(data, name)
    graph = compiled.source_graph
    assert {end.element for end in (*graph.file_inputs, *graph.file_outputs)} == {"float32" if is_float else "int8"}
    inputs = extreme_inputs(graph, 1)
    with LiteRt(graph, data) as litert, HostLibrary(compiled.library) as host:
        for named, c in zip(inputs, host.run_many([n.values for n in inputs]), strict=True):
            expected = run(graph, named.values)
            for tensor, values in (*litert.run(named.values).items(), *c.tensors.items()):
                if tensor in expected:
                    np.testing.assert_array_equal(values.reshape(-1), expected[tensor].reshape(-1), err_msg=tensor)


@pytest.fixture(scope="module")
def mobilenet(tf: Any) -> bytes:
    """MobileNetV1 0.25 at 96x96 with 2 classes, quantized by TensorFlow's own converter."""
    tf.keras.utils.set_random_seed(0)
    image = tf.keras.Input((96, 96, 3), batch_size=1)  # a dynamic batch would leave SHAPE and PACK in the file
    model = tf.keras.applications.MobileNet(input_tensor=image, alpha=0.25, weights=None, classes=2)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.momentum = 0.0  # one pass in training mode then sets the statistics; without them the activations vanish
    model(rng.random((1, 96, 96, 3), np.float32), training=True)
    return converted(tf, model, rng)


@pytest.mark.filterwarnings("ignore")
def test_a_network_of_tensorflow_compiles_and_beats_the_peers(mobilenet: bytes) -> None:
    """TFLM + CMSIS-NN needs 24.7 M instructions for this network, TinyEngine 20.5 M."""
    graph = read_tflite(mobilenet, "mobilenet")
    measured = measure("mobilenet", graph, get_target("stm32f412"))
    assert 7_400_000 < measured.macs < 7_600_000
    assert measured.instructions <= 10_500_000
