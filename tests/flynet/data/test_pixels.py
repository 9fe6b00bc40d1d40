"""Normalisations by name or by numbers; what cannot be meant is refused."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.errors import UsageError
from flynet_tiny.flynet.data.images import normalise
from flynet_tiny.flynet.data.pixels import IMAGENET, OURS, Pixels, choose_pixels


@pytest.mark.parametrize(("name", "black", "white"), [("unit", 0, 1), ("signed", -1, 1), ("raw", 0, 255)])
@pytest.mark.parametrize("channels", [1, 3])
def test_presets_say_what_black_and_white_become(name: str, black: float, white: float, channels: int) -> None:
    found = normalise(np.array([[[0, 255]]], np.uint8), channels, choose_pixels(name, None, None))
    np.testing.assert_allclose(found, np.broadcast_to([[[[black, white]]]], (1, channels, 1, 2)), atol=1e-4)


def test_numbers_go_to_their_channels() -> None:
    chosen = choose_pixels(None, "0.1, 0.2,0.3", "0.5,0.25,1")
    assert chosen == Pixels((0.1, 0.2, 0.3), (0.5, 0.25, 1.0))
    found = normalise(np.full((1, 1, 1, 3), 255, np.uint8), 3, chosen)
    np.testing.assert_allclose(found.reshape(-1), [0.9 / 0.5, 0.8 / 0.25, 0.7], rtol=1e-6)


def test_nothing_asked_is_as_in_training() -> None:
    assert choose_pixels(None, None, None) is None
    assert choose_pixels("imagenet", None, None) == IMAGENET == OURS[3]
    pixels = np.full((1, 2, 2, 3), 99, np.uint8)
    np.testing.assert_array_equal(normalise(pixels, 3), normalise(pixels, 3, IMAGENET))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((None, "0.5", None), "--mean needs --std"),
        ((None, None, "0.5"), "--std needs --mean"),
        (("unit", "0.5", "0.5"), "give either"),
        ((None, "a,b,c", "1,1,1"), "--mean 'a,b,c' is not a list"),
        ((None, "0.5,0.5", "1"), "has 2 values"),
        ((None, "123.68,116.78,103.94", "1"), "divide what is meant for 0 to 255 by 255"),
        ((None, "0.5", "0"), "must be above 0 to 1, not 0"),
        ((None, "0.5", "-0.2"), "not -0.2"),
        ((None, "nan", "1"), "not nan"),
        ((None, "", "1"), "not a list"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: tuple[str | None, str | None, str | None], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_pixels(*options)


def test_a_grey_network_takes_one_value() -> None:
    with pytest.raises(UsageError, match="grey"):
        IMAGENET.for_channels(1)
