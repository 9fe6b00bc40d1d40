"""FlyNet as the backbone of a detector: its maps at strides 4 to 32, alone or through a feature pyramid.

Both give an ordered dict of maps under the names "0" to "3", finest first, as torchvision's detectors take them.
Sources: the paper's section 4.2 (the head and its 1x1 convolution are left out); "Feature Pyramid Networks for Object Detection".
"""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UsageError
from ..networks.flynet import Block, FlyNet
from ..networks.flynet_config import FlyNetConfig

STRIDES = (4, 8, 16, 32)
FPN_CHANNELS = 64  # torchvision's detectors take 256 as a rule: more parameters than a FlyNet


class FlyNetBackbone(nn.Module):
    """[N, channels, H, W] -> maps [N, feature_channels[i], H / STRIDES[i], W / STRIDES[i]] (rounded up), each stride's last."""

    def __init__(self, network: FlyNet):
        """Shares its modules, and so its weights, with `network`."""
        super().__init__()
        self.config = network.config
        self.stem = network.stem
        for block in network.config.blocks:
            self.add_module(block.name, network.get_submodule(block.name))
        self.feature_channels, self._tapped = feature_channels(network.config), _tapped(network.config)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        maps: OrderedDict[str, Tensor] = OrderedDict()
        x = high = self.stem(x)
        blocks = [module for module in self.children() if isinstance(module, Block)]
        for index, block in enumerate(blocks):
            x, high = block(x, high)
            if index in self._tapped:
                maps[str(len(maps))] = x
        return maps


class FlyNetPyramid(nn.Module):
    """A FlyNetBackbone and a feature pyramid: each map has `out_channels`, the coarser ones are added to the finer ones.

    first  the finest map used, an index into STRIDES (RetinaNet begins at stride 8, Faster R-CNN at 4)
    extra  coarser maps made by strided convolutions of the coarsest (RetinaNet's P6 and P7)
    """

    def __init__(self, backbone: FlyNetBackbone, out_channels: int = FPN_CHANNELS, first: int = 0, extra: int = 0):
        super().__init__()
        self.body, self.out_channels, self.first = backbone, out_channels, first
        self.lateral = nn.ModuleList(nn.Conv2d(c, out_channels, 1) for c in backbone.feature_channels[first:])
        self.smooth = nn.ModuleList(nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in self.lateral)
        self.extra = nn.ModuleList(nn.Conv2d(out_channels, out_channels, 3, 2, 1) for _ in range(extra))
        for module in (*self.lateral, *self.smooth, *self.extra):
            nn.init.kaiming_uniform_(module.weight, a=1)
            nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        taken = list(self.body(x).values())[self.first :]
        sums: list[Tensor] = []
        for lateral, features in zip(reversed(self.lateral), reversed(taken), strict=True):
            here = lateral(features)
            sums.append(here if not sums else here + F.interpolate(sums[-1], size=here.shape[-2:], mode="nearest"))
        maps = [smooth(total) for smooth, total in zip(self.smooth, reversed(sums), strict=True)]
        for index, convolution in enumerate(self.extra):
            maps.append(convolution(F.relu(maps[-1]) if index else maps[-1]))
        return OrderedDict((str(index), features) for index, features in enumerate(maps))


def backbone_of(network: nn.Module) -> FlyNetBackbone:
    """The backbone of a FlyNet or of a detector on one; UsageError for a network of another family."""
    pyramid = getattr(network, "pyramid", None)
    if isinstance(pyramid, FlyNetPyramid):
        return pyramid.body
    if not isinstance(network, FlyNet):
        raise UsageError(f"a {type(network).__name__} has no backbone for detection here; take a FlyNet")
    return FlyNetBackbone(network)


def feature_channels(config: FlyNetConfig) -> tuple[int, ...]:
    """Channels of the maps at STRIDES."""
    return tuple(config.blocks[index].out for index in _tapped(config))


def _tapped(config: FlyNetConfig) -> tuple[int, ...]:
    """Indices of the last block at each of STRIDES: the next one is strided, or there is none."""
    blocks = config.blocks
    return tuple(i for i in range(len(blocks)) if i + 1 == len(blocks) or blocks[i + 1].stride == 2)
