"""Parameters and multiply-accumulates: those of the paper's networks."""

import pytest

from flynet_tiny.flynet.counts import count
from flynet_tiny.flynet.detection.backbone import backbone_of
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig, Residual

# width: (params, params of the backbone, MACs of convolutions and fully connected layers at 224x224), 3 heads
COUNTS_BY_WIDTH = {
    0.3: (467370, 97170, 15249352),
    0.4: (656098, 138690, 20680200),
    0.5: (864354, 188986, 26868576),
    0.6: (1086202, 242122, 37429112),
    0.7: (1325706, 302162, 44517496),
    0.8: (1636906, 388050, 54755272),
    0.9: (1917594, 462394, 63375080),
    1.0: (2210834, 538538, 71720672),
}
COUNTS_BY_HEADS = {  # width 0.5
    1: (800466, 125098, 19255936),
    2: (832410, 157042, 23062256),
    3: (864354, 188986, 26868576),
    4: (896298, 220930, 30674896),
    5: (928242, 252874, 34481216),
}
COUNTS_BY_RESIDUAL = {  # width 0.4, 3 heads
    "none": (655130, 137722, 20281536),
    "mobilenetv3": (655130, 137722, 20281536),
    "conv3x3": (671466, 154058, 24543360),
    "dw-pw": (657922, 140514, 21104344),
    "mdw-concat": (656098, 138690, 20680200),
}


def counts(config: FlyNetConfig) -> tuple[int, int, int]:
    whole = count(config)
    return whole.params, count(config, backbone_of).params, whole.macs


@pytest.mark.parametrize("width", COUNTS_BY_WIDTH)
def test_counts_are_the_papers_at_every_width(width):
    assert counts(FlyNetConfig(width=width)) == COUNTS_BY_WIDTH[width]


@pytest.mark.parametrize("heads", COUNTS_BY_HEADS)
def test_counts_are_the_papers_with_every_number_of_heads(heads):
    assert counts(FlyNetConfig(width=0.5, heads=heads)) == COUNTS_BY_HEADS[heads]


@pytest.mark.parametrize("kind", COUNTS_BY_RESIDUAL)
def test_counts_are_the_papers_with_every_residual(kind):
    assert counts(FlyNetConfig(width=0.4, residual=Residual(kind))) == COUNTS_BY_RESIDUAL[kind]
