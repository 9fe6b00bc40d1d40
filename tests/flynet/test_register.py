"""Networks by name: a configuration travels as plain values and comes back equal; every preset's name is its network's."""

import json
from dataclasses import replace

import pytest
import torch

from flynet_tiny.deploy.network import NetworkRequest
from flynet_tiny.errors import UsageError
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig, HeadAttention, Reduction, Statistics
from flynet_tiny.flynet.networks.presets import PRESETS
from flynet_tiny.flynet.register import build_network, config_from_dict, config_to_dict


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_travels_as_plain_values(name):
    config = PRESETS[name].config
    values = json.loads(json.dumps(config_to_dict(config)))
    assert config_from_dict(values) == config
    assert config.name == name
    assert config.input_shape == (1, config.channels, config.resolution, config.resolution)


def test_without_a_family_the_values_are_a_flynets():
    config = FlyNetConfig(width=0.3, classes=7)
    assert config_from_dict(config.as_dict()) == config


@pytest.mark.parametrize(
    ("values", "line"),
    [({"network": "resnet"}, "'resnet'; this program knows flynet"), ({"network": "flynet", "depth": 3}, "'depth'")],
)
def test_values_of_no_network_are_refused(values, line):
    with pytest.raises(UsageError, match=line):
        config_from_dict(values)


def test_a_configuration_of_no_family_is_refused():
    with pytest.raises(UsageError, match="object"):
        build_network(object(), 0)


def test_the_seed_alone_makes_the_weights():
    config = FlyNetConfig(width=0.3, resolution=16, classes=3)
    first, second, other = (build_network(config, seed) for seed in (1, 1, 2))
    assert torch.equal(first.stem.conv.weight, second.stem.conv.weight)
    assert not torch.equal(first.stem.conv.weight, other.stem.conv.weight)
    assert first.config == config


def test_names_tell_variants_apart():
    config = FlyNetConfig(statistics=Statistics.MEAN, head_attention=HeadAttention.SIGMOID, reduction=Reduction.AFFINE_RELU)
    assert config.name == "flynet-h3-0.4x-mean-mixer-affine"
    assert replace(config, statistics=Statistics.NONE).name == "flynet-h3-0.4x-no-attention-affine"


def test_a_model_by_name_takes_the_tasks_options():
    config = NetworkRequest(model="flynet-h2-0.5x", resolution=32, classes=5, channels=1).config()
    assert config == replace(PRESETS["flynet-h2-0.5x"].config, resolution=32, classes=5, channels=1)
    assert NetworkRequest(model="flynet-h2-0.5x", heads=2, width=0.5).config() == PRESETS["flynet-h2-0.5x"].config


@pytest.mark.parametrize(
    ("options", "line"),
    [({"width": 0.4}, r"--width 0\.4 .* has 0\.5"), ({"heads": 3}, "--heads 3 .* has 2")],
)
def test_an_option_that_contradicts_the_name_is_refused(options, line):
    with pytest.raises(UsageError, match=line):
        NetworkRequest(model="flynet-h2-0.5x", **options).config()


def test_a_name_that_contradicts_the_checkpoint_is_refused():
    trained = FlyNetConfig(width=0.5, heads=2, resolution=32, classes=10)
    NetworkRequest(model="flynet-h2-0.5x").require_agreement(trained)
    with pytest.raises(UsageError, match="contradicts the checkpoint"):
        NetworkRequest(model="flynet-h3-0.5x").require_agreement(trained)
    with pytest.raises(UsageError, match=r"--width 0\.4 contradicts the checkpoint"):
        NetworkRequest(width=0.4).require_agreement(trained)
