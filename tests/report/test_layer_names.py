"""Layers go by the names that the network's makers gave them."""

from __future__ import annotations

import pytest

from flynet_tiny.quoting import ForeignText
from flynet_tiny.report.layer_names import layer_title

_BATCH_NORM = "functional_1/activation_4/Relu;functional_1/batch_normalization_4/FusedBatchNormV3"
NAMES = {
    f"{_BATCH_NORM};functional_1/conv2d_2/BiasAdd/ReadVariableOp/resource;functional_1/conv2d_2/BiasAdd;functional_1/conv2d_4/Conv2D;"
    "functional_1/conv2d_2/Conv2D1": "conv2d_2",
    f"{_BATCH_NORM};model/depthwise_conv2d/depthwise;model/depthwise_conv2d/BiasAdd;model/depthwise_conv2d/BiasAdd/ReadVariableOp/"
    "resource1": "depthwise_conv2d",
    f"{_BATCH_NORM};model/depthwise_conv2d_3/depthwise;model/conv2d/Conv2D": "conv2d",
    "model/dense/MatMul;model/dense/BiasAdd": "dense",
    "model/depthwise_conv2d_1/depthwise1": "depthwise_conv2d_1",
    "functional_1/average_pooling2d/AvgPool": "average_pooling2d",
    "sequential/conv1d_1/convolution": "conv1d_1",
    "conv1d_1_2/convolution1": "conv1d_1_2",
    "sequential_1/max_pooling1d_1/MaxPool1d": "max_pooling1d_1",
    "MobilenetV1/MobilenetV1/Conv2d_0/Relu6;MobilenetV1/Conv2d_0/BatchNorm": "MobilenetV1/Conv2d_0",
    "block1.attend_heads.conv1d": "block1.attend_heads.conv1d",
    "block1.reduce.amax/1": "block1.reduce.amax/1",
    "Identity": "softmax",
    "StatefulPartitionedCall:0": "softmax",
    "Identity_int8": "softmax",
    "": "softmax",
    ";;": "softmax",
    "///": "softmax",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_is_called_what_its_makers_call_it(name: str) -> None:
    assert layer_title(ForeignText(name), "SOFTMAX") == NAMES[name]
