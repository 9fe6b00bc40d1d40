"""The page as a browser shows it: nothing is cut off, nothing is blank, in light and dark, on a desk and on a phone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flynet_tiny.cli import main

from ..small_models import attention_block

WIDTHS = {"desk": 1240, "phone": 420}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "attention block.tflite").write_bytes(attention_block())
    with pytest.raises(SystemExit) as ended:
        main(["compile", str(folder / "attention block.tflite"), "--target", "stm32f412", "--out", str(folder / "out")])
    assert ended.value.code == 0
    return folder / "out" / "report.html"


def screenshot(page: Path, width: int, dark: bool, png: Path) -> np.ndarray:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "this test needs a browser: apt-get install chromium"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--window-size={width},3200",
        f"--screenshot={png}",
    ]
    if dark:
        flags.append("--blink-settings=preferredColorScheme=0")
    profile = f"--user-data-dir={png.parent / 'profile'}"
    subprocess.run([browser, *flags, profile, page.resolve().as_uri()], check=True, timeout=120, capture_output=True)
    return np.asarray(Image.open(png).convert("RGB")).astype(int)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("device", WIDTHS)
def test_the_page_shows_all_of_itself(device: str, dark: bool, page: Path, tmp_path: Path) -> None:
    pixels = screenshot(page, WIDTHS[device], dark, tmp_path / "page.png")
    background = pixels[-1, 0]
    assert (background.mean() < 128) == dark
    inked = (np.abs(pixels - background).sum(axis=2) > 40).any(axis=0)
    assert not inked[-8:].any(), "something reaches the right edge: it is cut off"
    assert not inked[:8].any()
    rows = (np.abs(pixels - background).sum(axis=2) > 40).any(axis=1)
    assert rows.sum() > 700, "a page of text and pictures has many rows with ink"
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    assert ((blue > red + 60) & (blue > 150)).sum() > 500, "the bars are drawn"
    assert ((np.abs(red - green) > 50) & (np.abs(pixels - background).sum(axis=2) > 40)).sum() > 5_000, "the arena is drawn"
