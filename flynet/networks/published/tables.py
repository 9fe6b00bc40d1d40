"""Networks of convolutions and inverted bottlenecks, each as a function of its width. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..classifier_config import make_divisible
from .specs import Bottleneck, Conv, Gate, Head, Nonlinearity, Squeeze, Table

_NONE, _RELU, _RELU6 = Nonlinearity.NONE, Nonlinearity.RELU, Nonlinearity.RELU6
_HARD_SWISH, _SILU = Nonlinearity.HARD_SWISH, Nonlinearity.SILU


def mobilenet_v1(width: float) -> Table:
    """Howard et al., "MobileNets", table 1: a 3x3 depthwise and a 1x1 convolution thirteen times."""
    rows = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
    channels = make_divisible(32 * width)
    blocks = [Conv(channels, 3, 2)]
    for out, stride in rows:
        blocks.append(Conv(channels, 3, stride, is_depthwise=True))
        channels = make_divisible(out * width)
        blocks.append(Conv(channels, 1))
    return Table(tuple(blocks))


def mobilenet_v2(width: float) -> Table:
    """Sandler et al., "MobileNetV2", table 2."""
    #       expansion, out, repeats, stride
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    channels = make_divisible(32 * width)
    blocks: list[Conv | Bottleneck] = [Conv(channels, 3, 2, _RELU6)]
    for expansion, out, repeats, stride in rows:
        for index in range(repeats):
            expand = expansion * channels if expansion > 1 else 0
            channels = make_divisible(out * width)
            blocks.append(Bottleneck(channels, (3,), expand, stride if index == 0 else 1))
    return Table((*blocks, Conv(make_divisible(1280 * max(1.0, width)), 1, 1, _RELU6)))


def mobilenet_v3_large(width: float) -> Table:
    """Howard et al., "Searching for MobileNetV3", table 1."""
    rows = (
        # kernel, expand, out, squeeze, activation, stride
        (3, 16, 16, False, _RELU, 1),
        (3, 64, 24, False, _RELU, 2),
        (3, 72, 24, False, _RELU, 1),
        (5, 72, 40, True, _RELU, 2),
        (5, 120, 40, True, _RELU, 1),
        (5, 120, 40, True, _RELU, 1),
        (3, 240, 80, False, _HARD_SWISH, 2),
        (3, 200, 80, False, _HARD_SWISH, 1),
        (3, 184, 80, False, _HARD_SWISH, 1),
        (3, 184, 80, False, _HARD_SWISH, 1),
        (3, 480, 112, True, _HARD_SWISH, 1),
        (3, 672, 112, True, _HARD_SWISH, 1),
        (5, 672, 160, True, _HARD_SWISH, 2),
        (5, 960, 160, True, _HARD_SWISH, 1),
        (5, 960, 160, True, _HARD_SWISH, 1),
    )
    channels = make_divisible(16 * width)
    blocks: list[Conv | Bottleneck] = [Conv(channels, 3, 2, _HARD_SWISH)]
    for kernel, expand, out, has_squeeze, activation, stride in rows:
        inner = make_divisible(expand * width)
        squeeze = Squeeze(make_divisible(inner // 4), _RELU, Gate.HARD_SIGMOID) if has_squeeze else None
        expansion = inner if inner != channels else 0
        channels = make_divisible(out * width)
        blocks.append(Bottleneck(channels, (kernel,), expansion, stride, activation=activation, squeeze=squeeze))
    head = Head(make_divisible(1280 * max(1.0, width)))
    return Table((*blocks, Conv(6 * channels, 1, 1, _HARD_SWISH)), head)


def _efficientnet(width: float, *, is_lite: bool) -> Table:
    #       expansion, kernel, stride, out, repeats
    rows = (
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    )
    activation = _RELU6 if is_lite else _SILU
    channels = 32 if is_lite else make_divisible(32 * width)
    blocks: list[Conv | Bottleneck] = [Conv(channels, 3, 2, activation)]
    for expansion, kernel, stride, out, repeats in rows:
        for index in range(repeats):
            squeeze = None if is_lite else Squeeze(max(1, channels // 4), _SILU, Gate.SIGMOID)
            expand = expansion * channels if expansion > 1 else 0
            channels = make_divisible(out * width)
            strided = stride if index == 0 else 1
            blocks.append(Bottleneck(channels, (kernel,), expand, strided, activation=activation, squeeze=squeeze))
    return Table((*blocks, Conv(1280 if is_lite else make_divisible(1280 * width), 1, 1, activation)))


def efficientnet_b0(width: float) -> Table:
    """Tan and Le, "EfficientNet", table 1."""
    return _efficientnet(width, is_lite=False)


def efficientnet_lite0(width: float) -> Table:
    """EfficientNet-Lite0 as its authors describe it: no squeeze, ReLU6, first and last convolution of fixed width."""
    return _efficientnet(width, is_lite=True)


def rexnet(width: float) -> Table:
    """Han et al., "Rethinking channel dimensions for efficient model design", table 5 and section 4.2.

    The search's rule: channels grow linearly from block to block, from 16 by 180 over the 16 blocks. SiLU after the expansion,
    ReLU6 after the depthwise convolution and its squeeze; the identity is added to the first channels. A width below 1 leaves
    the first convolution at 32 and the first block at 16 channels, as the authors' code does.
    """
    #       repeats, stride, squeeze
    stages = ((1, 1, False), (2, 2, False), (2, 2, True), (3, 2, True), (3, 1, True), (5, 2, True))
    unscaled = 16 / width if width < 1 else 16.0
    channels = round((32 / width if width < 1 else 32) * width)
    blocks: list[Conv | Bottleneck] = [Conv(channels, 3, 2, _SILU)]
    for repeats, stride, has_squeeze in stages:
        for index in range(repeats):
            expand = 6 * channels if len(blocks) > 1 else 0
            inner = expand or channels
            channels_out = round(unscaled * width)
            unscaled += 180 / 16
            blocks.append(
                Bottleneck(
                    channels_out,
                    (3,),
                    expand,
                    stride if index == 0 else 1,
                    activation=_SILU,
                    after_squeeze=_RELU6,
                    squeeze=Squeeze(inner // 12, _RELU, Gate.SIGMOID, has_norm=True) if has_squeeze else None,
                    is_padded=True,
                )
            )
            channels = channels_out
    return Table((*blocks, Conv(int(1280 * width), 1, 1, _SILU)))


def mixnet_s(width: float) -> Table:
    """Tan and Le, "MixConv: mixed depthwise convolutional kernels", figure 3: kernels of several sizes side by side."""
    rows = (
        # repeats, kernels, stride, expansion, out, squeeze, expand parts, project parts, activation
        (1, (3,), 1, 1, 16, 0.0, 1, 1, _RELU),
        (1, (3,), 2, 6, 24, 0.0, 2, 2, _RELU),
        (1, (3,), 1, 3, 24, 0.0, 2, 2, _RELU),
        (1, (3, 5, 7), 2, 6, 40, 0.5, 1, 1, _SILU),
        (3, (3, 5), 1, 6, 40, 0.5, 2, 2, _SILU),
        (1, (3, 5, 7), 2, 6, 80, 0.25, 1, 2, _SILU),
        (2, (3, 5), 1, 6, 80, 0.25, 1, 2, _SILU),
        (1, (3, 5, 7), 1, 6, 120, 0.5, 2, 2, _SILU),
        (2, (3, 5, 7, 9), 1, 3, 120, 0.5, 2, 2, _SILU),
        (1, (3, 5, 7, 9, 11), 2, 6, 200, 0.5, 1, 1, _SILU),
        (2, (3, 5, 7, 9), 1, 6, 200, 0.5, 1, 2, _SILU),
    )
    channels = make_divisible(16 * width)
    blocks: list[Conv | Bottleneck] = [Conv(channels, 3, 2)]
    for repeats, kernels, stride, expansion, out, share, expand_parts, project_parts, activation in rows:
        for index in range(repeats):
            squeeze = Squeeze(int(channels * share), activation, Gate.SIGMOID) if share else None
            expand = expansion * channels if expansion > 1 else 0
            channels = make_divisible(out * width)
            blocks.append(
                Bottleneck(
                    channels,
                    kernels,
                    expand,
                    stride if index == 0 else 1,
                    activation=activation,
                    squeeze=squeeze,
                    expand_parts=expand_parts,
                    project_parts=project_parts,
                )
            )
    return Table((*blocks, Conv(1536, 1)))


def mobilenet_v4_conv_small(width: float) -> Table:
    """Qin et al., "MobileNetV4", appendix: MNv4-Conv-S of universal inverted bottlenecks, without squeeze."""
    rows = (
        # kernel before, kernel inside, expansion, out, stride
        (5, 5, 3, 96, 2),
        (0, 3, 2, 96, 1),
        (0, 3, 2, 96, 1),
        (0, 3, 2, 96, 1),
        (0, 3, 2, 96, 1),
        (3, 0, 4, 96, 1),
        (3, 3, 6, 128, 2),
        (5, 5, 4, 128, 1),
        (0, 5, 4, 128, 1),
        (0, 5, 3, 128, 1),
        (0, 3, 4, 128, 1),
        (0, 3, 4, 128, 1),
    )
    first = [(32, 3, 2), (32, 3, 2), (32, 1, 1), (96, 3, 2), (64, 1, 1)]
    blocks: list[Conv | Bottleneck] = [Conv(make_divisible(out * width), kernel, stride) for out, kernel, stride in first]
    channels = blocks[-1].out
    for before, inside, expansion, out, stride in rows:
        expand = make_divisible(channels * expansion)
        channels = make_divisible(out * width)
        blocks.append(Bottleneck(channels, (inside,) if inside else (), expand, stride, before, activation=_RELU))
    return Table((*blocks, Conv(make_divisible(960 * width), 1)), Head(1280, _RELU, has_norm=True))


TABLES: Mapping[str, Callable[[float], Table]] = {
    "mobilenetv1": mobilenet_v1,
    "mobilenetv2": mobilenet_v2,
    "mobilenetv3-large": mobilenet_v3_large,
    "mobilenetv4-conv-small": mobilenet_v4_conv_small,
    "efficientnet-b0": efficientnet_b0,
    "efficientnet-lite0": efficientnet_lite0,
    "rexnet": rexnet,
    "mixnet-s": mixnet_s,
}
