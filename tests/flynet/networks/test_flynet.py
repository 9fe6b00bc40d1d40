"""FlyNet against the paper: every channel count, parameter count and MAC count; every variant trains."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from flynet_tiny.errors import UsageError
from flynet_tiny.flynet.networks.blocks import EcaSoftmax, LightResidual
from flynet_tiny.flynet.networks.bn_statistics import estimate_bn_statistics
from flynet_tiny.flynet.networks.flynet import FlyNet, build
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig, HeadAttention, Reduction, Residual, Statistics, scale_channels
from flynet_tiny.flynet.networks.noise import QuantizationNoise

# stem, expand of the 11 blocks, out of the 11 blocks, last convolution, hidden fully connected layer
CHANNELS = {
    0.3: (8, (8, 24, 24, 32, 72, 72, 40, 40, 88, 176, 176), (8, 8, 8, 16, 16, 16, 16, 16, 32, 32, 32), 192, 304),
    0.4: (8, (8, 32, 32, 40, 96, 96, 48, 56, 112, 232, 232), (8, 16, 16, 16, 16, 16, 24, 24, 40, 40, 40), 240, 408),
    0.5: (8, (8, 40, 48, 48, 120, 120, 64, 72, 144, 288, 288), (8, 16, 16, 24, 24, 24, 24, 24, 48, 48, 48), 288, 512),
    0.6: (16, (16, 40, 56, 56, 144, 144, 72, 88, 176, 344, 344), (16, 16, 16, 24, 24, 24, 32, 32, 56, 56, 56), 336, 616),
    0.7: (16, (16, 48, 64, 64, 168, 168, 88, 104, 200, 400, 400), (16, 16, 16, 32, 32, 32, 32, 32, 64, 64, 64), 384, 720),
    0.8: (16, (16, 56, 72, 80, 192, 192, 96, 112, 232, 464, 464), (16, 24, 24, 32, 32, 32, 40, 40, 80, 80, 80), 480, 816),
    0.9: (16, (16, 64, 80, 88, 216, 216, 112, 128, 256, 520, 520), (16, 24, 24, 40, 40, 40, 40, 40, 88, 88, 88), 528, 920),
    1.0: (16, (16, 72, 88, 96, 240, 240, 120, 144, 288, 576, 576), (16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96), 576, 1024),
}
SMALL = {"resolution": 16, "classes": 5, "width": 0.3}


@pytest.mark.parametrize("width", CHANNELS)
def test_channels_are_the_papers_at_every_width(width):
    config = FlyNetConfig(width=width)
    found = (
        config.stem_channels,
        tuple(block.expand for block in config.blocks),
        tuple(block.out for block in config.blocks),
        config.last_channels,
        config.hidden_channels,
    )
    assert found == CHANNELS[width]


@pytest.mark.parametrize("width", [0.01, 0.123, 0.45, 1.5])
def test_any_width_gives_multiples_of_eight_and_runs(width):
    config = FlyNetConfig(width=width, resolution=32, classes=3)
    assert all(channels % 8 == 0 and channels >= 8 for block in config.blocks for channels in (block.expand, block.out))
    assert build(config, 0).eval()(torch.zeros(config.input_shape)).shape == (1, 3)


def test_rounding_goes_up_where_it_would_lose_more_than_a_tenth():
    assert [scale_channels(channels, 1.0) for channels in (1, 8.8, 8.9, 12, 17.7, 17.8, 20)] == [8, 8, 16, 16, 16, 24, 24]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width"),
        ({"width": 7}, "width"),
        ({"width": float("nan")}, "width"),
        ({"heads": 0}, "heads"),
        ({"heads": 6}, "heads"),
        ({"resolution": 7}, "resolution"),
        ({"classes": 1}, "classes"),
        ({"channels": 2}, "channels"),
        ({"temperature": 0.0}, "temperature"),
        ({"quantization_levels": 1}, "quantization levels"),
    ],
)
def test_impossible_options_are_usage_errors(options, message):
    with pytest.raises(UsageError, match=message):
        FlyNetConfig(**options)


def test_a_configuration_survives_as_plain_values():
    config = FlyNetConfig(width=0.7, heads=2, residual=Residual.DW_PW, reduction=Reduction.SUM_RELU, temperature=3.0)
    assert FlyNetConfig.from_dict(config.as_dict()) == config
    with pytest.raises(UsageError, match="depth"):
        FlyNetConfig.from_dict({"depth": 3})
    with pytest.raises(UsageError, match="nonsense"):
        FlyNetConfig.from_dict({"residual": "nonsense"})


VARIANTS = [
    *({"heads": heads} for heads in range(1, 6)),
    *({"residual": kind} for kind in Residual),
    *({"reduction": kind, "heads": heads} for kind in Reduction for heads in (1, 3)),
    *({"statistics": kind} for kind in Statistics),
    {"head_attention": HeadAttention.SIGMOID},
    {"temperature": 3.0},
    {"quantization_levels": 6},
    {"channels": 1},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_weight_of_every_variant_learns(options):
    config = FlyNetConfig(**SMALL, **options)
    model = build(config, seed=0).train()
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(4, *config.input_shape[1:])).astype(np.float32))
    logits = model(images)
    assert logits.shape == (4, 5)
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert all(config.heads == 1 and name.endswith("attend_heads.weight") for name in frozen)


def test_the_seed_alone_makes_the_weights_and_leaves_the_global_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = (build(FlyNetConfig(**SMALL), seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_map_c_times_h_plus_head_belongs_to_channel_c():
    """Only the filters of channel 2 see a step in channel 2, and the reduction of channel 2 alone answers."""
    block = build(FlyNetConfig(**SMALL, statistics=Statistics.NONE), 0).block2.eval()
    block.mdw.norm = nn.Identity()
    silent, loud = torch.zeros(1, block.channels, 8, 8), torch.zeros(1, block.channels, 8, 8)
    loud[:, 2] = 1.0
    change = (block.mdw(loud) - block.mdw(silent)).abs().sum((0, 2, 3))
    assert change.nonzero().flatten().tolist() == [6, 7, 8]
    maps = block.mdw(loud)
    torch.testing.assert_close(block.reduce(maps, loud)[:, 2], maps[:, 6:9].amax(1))


def test_softmax_shares_of_a_channel_sum_to_one_and_sharpen_when_cold():
    attend = EcaSoftmax(Statistics.MEAN_VARIANCE, heads=3, temperature=1.0)
    maps = torch.randn(2, 12, 4, 4, generator=torch.Generator().manual_seed(0))

    def shares(temperature: float) -> torch.Tensor:
        attend.temperature = temperature
        return (attend(maps) / maps)[:, :, 0, 0].reshape(2, 4, 3).detach()

    torch.testing.assert_close(shares(1.0).sum(2), torch.ones(2, 4))
    assert (shares(0.1).amax(2) > shares(1.0).amax(2)).all()
    assert (shares(10.0).amax(2) < shares(1.0).amax(2)).all()


def test_attention_equals_a_two_channel_convolution_of_mean_and_biased_variance():
    attend = EcaSoftmax(Statistics.MEAN_VARIANCE, heads=1, temperature=1.0)
    maps = torch.randn(2, 10, 3, 5, generator=torch.Generator().manual_seed(1))
    variance, mean = torch.var_mean(maps, (2, 3), correction=0)
    expected = torch.nn.functional.conv1d(torch.stack((mean, variance), 1), attend.weight, padding=3)
    torch.testing.assert_close(attend.coefficients(maps), expected)
    torch.testing.assert_close(attend.coefficients(maps, 4.0), expected / 4)


@pytest.mark.parametrize(("channels", "out", "stride"), [(8, 8, 1), (8, 8, 2), (16, 8, 1), (16, 8, 2), (8, 16, 1), (8, 24, 2)])
def test_the_light_residual_keeps_the_first_channels(channels, out, stride):
    residual = LightResidual(channels, out, stride).eval()
    x = torch.randn(1, channels, 7, 7)
    y = residual(x)
    assert y.shape == (1, out, (7 - 1) // stride + 1, (7 - 1) // stride + 1)
    if stride == 1:
        assert torch.equal(y[:, : min(channels, out)], x[:, : min(channels, out)])


def reference(model: FlyNet, x: torch.Tensor) -> torch.Tensor:
    """The paper's network once more, with loops and plain functions, reading only the model's weights."""
    weights = model.state_dict()
    config = model.config

    def conv(x, name, stride=1):
        kernel, norm = weights[f"{name}.conv.weight"], f"{name}.norm."
        y = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, groups=x.shape[1] // kernel.shape[1])
        return F.batch_norm(y, *(weights[norm + part] for part in ("running_mean", "running_var", "weight", "bias")), eps=1e-3)

    def eca(x, name):
        variance, mean = torch.var_mean(x, (2, 3), correction=0)
        return F.conv1d(torch.stack((mean, variance), 1), weights[f"{name}.weight"], padding=3)[:, 0]

    def gate(x, name):
        return x * eca(x, name).sigmoid()[:, :, None, None]

    x = F.hardswish(conv(x, "stem", 2))
    high = None
    for block in config.blocks:
        name, source, h = block.name, x, config.heads
        if block.index > 1:
            x = conv(x, f"{name}.expand")
            x = gate(x.relu() if block.index in (2, 3) else F.hardswish(x), f"{name}.attend_expand")
        maps = conv(x, f"{name}.mdw", block.stride)
        shares = eca(maps, f"{name}.attend_heads")
        reduced = []
        for c in range(block.expand):
            share = (shares[:, c * h : (c + 1) * h] / config.temperature).softmax(1)
            reduced.append((maps[:, c * h : (c + 1) * h] * share[:, :, None, None]).max(1).values)
        x = gate(torch.stack(reduced, 1), f"{name}.attend_reduce")
        if block.stride == 1:
            common = min(x.shape[1], high.shape[1])
            x = torch.cat((x[:, :common] + high[:, :common], x[:, common:]), 1)
        high = x
        x = gate(conv(x, f"{name}.project"), f"{name}.attend_project")
        m, n = source.shape[1], x.shape[1]
        low = source if block.stride == 1 else conv(source[:, : min(m, n)], f"{name}.residual.keep", 2)
        if n > m:
            low = torch.cat((low, conv(source[:, : n - m], f"{name}.residual.add", block.stride)[:, : n - m]), 1)
        x = x + low
    x = F.hardswish(conv(x, "head.last")).mean((2, 3))
    x = F.hardswish(F.linear(x, weights["head.hidden.weight"], weights["head.hidden.bias"]))
    return F.linear(x, weights["head.classifier.weight"], weights["head.classifier.bias"])


@pytest.mark.parametrize(("width", "temperature"), [(0.4, 1.0), (0.9, 2.5)])
def test_the_network_computes_what_the_paper_says(width, temperature):
    config = FlyNetConfig(width=width, resolution=64, classes=7, temperature=temperature)
    model = build(config, 0)
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    estimate_bn_statistics(model, [images])
    with torch.no_grad():
        expected = reference(model, images)
        assert expected.std() > 1e-3
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)


def test_high_residuals_bridge_the_blocks_of_one_size():
    by_index = {block.index: block.bridged for block in FlyNetConfig(width=0.4).blocks}
    assert by_index == {1: None, 2: None, 3: 32, 4: None, 5: 40, 6: 96, 7: 96, 8: 48, 9: None, 10: 112, 11: 232}
    assert all(block.bridged is None for block in FlyNetConfig(residual=Residual.MOBILENETV3).blocks)


def test_funnel_max_out_is_never_below_its_input():
    block = build(FlyNetConfig(**SMALL, reduction=Reduction.FUNNEL_MAX_OUT), 0).block2.eval()
    source = torch.randn(1, block.channels, 8, 8, generator=torch.Generator().manual_seed(0))
    reduced = block.reduce(block.mdw(source), source)
    assert (reduced >= source[:, :, ::2, ::2]).all()
    assert (reduced > source[:, :, ::2, ::2]).any()


def test_affine_reduction_starts_as_the_sum():
    options = {**SMALL, "statistics": Statistics.NONE}
    affine = build(FlyNetConfig(**options, reduction=Reduction.AFFINE_RELU), 0).block3
    plain = build(FlyNetConfig(**options, reduction=Reduction.SUM_RELU), 0).block3
    maps = torch.randn(1, 3 * affine.channels, 4, 4)
    torch.testing.assert_close(affine.reduce(maps, maps), plain.reduce(maps, maps))


@pytest.mark.parametrize("levels", [2, 6, 16])
def test_quantization_noise_has_q_levels_and_lets_the_gradient_through(levels):
    noise = QuantizationNoise(levels).train()
    x = (5 * torch.rand(8, 100, generator=torch.Generator().manual_seed(0)) - 2).requires_grad_()
    y = noise(x)
    assert len(y.unique()) == levels
    torch.testing.assert_close(torch.stack(torch.aminmax(y)), torch.stack(torch.aminmax(x)))
    step = (x.max() - x.min()) / (levels - 1)
    assert (y - x).abs().max() <= step / 2 * 1.001
    (2 * y).sum().backward()
    assert (x.grad == 2).all()
    assert torch.equal(noise.eval()(x), x)
    assert torch.equal(noise.train()(torch.full((2, 3), 4.0)), torch.full((2, 3), 4.0))
