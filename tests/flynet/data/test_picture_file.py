"""Whatever a picture's file holds: colour of 8 bits, upright, or one line with its name."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from flynet_tiny.errors import BadData
from flynet_tiny.flynet.data import picture_file
from flynet_tiny.flynet.data.images import folder
from flynet_tiny.flynet.data.picture_check import check_pictures, describe
from flynet_tiny.flynet.data.picture_file import Oddity, inspect, read_image

RAMP = (np.arange(30 * 40, dtype=np.int64).reshape(30, 40) * 54).astype(np.uint16)  # 0 to 64746
GREY_OF_RAMP = np.rint(RAMP / 257).astype(np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def colour() -> Image.Image:
    return Image.fromarray(COLOUR)


def with_alpha(mode: str) -> Image.Image:
    """Opaque on the left, half transparent in the middle, invisible on the right; the colour is black."""
    image = Image.new(mode.removesuffix("A"), (30, 10), 0)
    alpha = Image.new("L", (30, 10), 0)
    alpha.paste(255, (0, 0, 10, 10))
    alpha.paste(128, (10, 0, 20, 10))
    image.putalpha(alpha)
    return image


def write_pgm(file: Path, values: np.ndarray, most: int) -> None:
    file.write_bytes(f"P5 {values.shape[1]} {values.shape[0]} {most}\n".encode() + values.astype(">u2").tobytes())


@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("grey16.png", lambda file: Image.fromarray(RAMP).save(file), GREY_OF_RAMP),
        ("grey16.tif", lambda file: Image.fromarray(RAMP).save(file), GREY_OF_RAMP),
        ("grey32.tif", lambda file: Image.fromarray(RAMP.astype(np.int32)).save(file), GREY_OF_RAMP),
        ("float.tif", lambda file: Image.fromarray((RAMP / 65535).astype(np.float32)).save(file), GREY_OF_RAMP),
        ("grey16.pgm", lambda file: write_pgm(file, RAMP, 65535), GREY_OF_RAMP),
        ("grey10.pgm", lambda file: write_pgm(file, RAMP >> 6, 1023), np.rint((RAMP >> 6) * (255 / 1023))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_deep_grey_is_scaled_to_8_bits(tmp_path: Path, name: str, write: Callable[[Path], None], expected: np.ndarray) -> None:
    """Pillow's own conversion cuts 16 bits off at 255: everything but black is white."""
    write(tmp_path / name)
    found = np.asarray(read_image(tmp_path / name))
    assert found.shape == (30, 40, 3)
    assert np.abs(found[..., 0].astype(int) - expected).max() <= 1  # ties of rounding
    assert inspect(tmp_path / name).oddities == {Oddity.DEEP}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (RAMP.astype(np.int32) * 1000, "beyond 16 bits"),
        (-RAMP.astype(np.int32), "beyond 16 bits"),
        (RAMP.astype(np.float32), "floats are not from 0 to 1"),
        (np.full((3, 3), np.nan, np.float32), "floats are not from 0 to 1"),
    ],
)
def test_numbers_without_a_known_white_are_refused(tmp_path: Path, values: np.ndarray, words: str) -> None:
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(BadData, match=rf"x\.tif: .*{words}.*save it with 8 or 16 bits"):
        read_image(tmp_path / "x.tif")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_once(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"turned.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    colour().save(file, exif=exif, **options)
    with Image.open(file) as plain:
        expected = ImageOps.exif_transpose(plain).convert("RGB")
    assert np.array_equal(np.asarray(read_image(file)), np.asarray(expected))
    header = inspect(file)
    assert header.size == expected.size == ((40, 30) if orientation < 5 else (30, 40))
    assert header.oddities == (set() if orientation == 1 else {Oddity.TURNED})


def test_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    for index, exif in enumerate((b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0" + b"\xff" * 30)):
        colour().save(tmp_path / f"{index}.jpg", exif=exif, quality=95)
        assert read_image(tmp_path / f"{index}.jpg").size == (40, 30)
        assert inspect(tmp_path / f"{index}.jpg").size == (40, 30)


def test_annotations_say_whether_a_picture_was_turned_before_them(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    colour().save(tmp_path / "x.png", exif=exif)
    assert read_image(tmp_path / "x.png", (30, 40)).size == (30, 40)
    stored = read_image(tmp_path / "x.png", (40, 30))
    assert np.array_equal(np.asarray(stored), COLOUR)
    assert inspect(tmp_path / "x.png", (40, 30)) == inspect(tmp_path / "x.png", (30, 40))
    for look in (read_image, inspect):
        with pytest.raises(BadData, match=r"x\.png is 30 x 40, its annotations are for 9 x 9"):
            look(tmp_path / "x.png", (9, 9))


@pytest.mark.parametrize(("mode", "suffix"), [("LA", "png"), ("RGBA", "png"), ("RGBA", "tif"), ("RGBA", "webp")])
def test_what_is_transparent_stands_on_white(tmp_path: Path, mode: str, suffix: str) -> None:
    file = tmp_path / f"clear.{suffix}"
    with_alpha(mode).save(file, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    assert np.asarray(read_image(file))[5, [5, 15, 25], 0].tolist() == [0, 127, 255]
    assert inspect(file).oddities == {Oddity.TRANSPARENT}


def test_a_palettes_or_a_colours_transparency_is_white_too(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0, 0, 0, 200])
    palette.putpixel((0, 0), 2)
    palette.save(tmp_path / "one.png", transparency=1)
    palette.save(tmp_path / "each.png", transparency=bytes([255, 128, 255]))
    palette.save(tmp_path / "one.gif", transparency=1)
    found = {name: np.asarray(read_image(tmp_path / name)) for name in ("one.png", "each.png", "one.gif")}
    assert found["one.png"][0, :2].tolist() == found["one.gif"][0, :2].tolist() == [[0, 0, 200], [255, 255, 255]]
    assert found["each.png"][0, 1].tolist() == [227, 127, 127]
    Image.new("RGB", (2, 2), (9, 8, 7)).save(tmp_path / "key.png", transparency=(9, 8, 7))
    assert (np.asarray(read_image(tmp_path / "key.png")) == 255).all()


@pytest.mark.parametrize("name", ["x.jpg", "x.tif"])
def test_cmyk_is_converted(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (32, 32), (250, 10, 60)).convert("CMYK").save(tmp_path / name)
    assert np.abs(np.asarray(read_image(tmp_path / name)).astype(int) - (250, 10, 60)).max() <= 6
    assert inspect(tmp_path / name).oddities == {Oddity.CMYK}


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_the_first_frame_is_the_picture(tmp_path: Path, suffix: str) -> None:
    first, second = (Image.new("RGB", (8, 8), (level, level, level)) for level in (50, 200))
    first.save(tmp_path / f"film.{suffix}", save_all=True, append_images=[second])
    assert np.abs(np.asarray(read_image(tmp_path / f"film.{suffix}")).astype(int) - 50).max() <= 2
    assert inspect(tmp_path / f"film.{suffix}").oddities == {Oddity.FRAMES}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_single_pixel_and_plain_pictures_are_as_they_are(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (1, 1), (255, 255, 255)).convert(mode).save(tmp_path / "one.png")
    assert np.asarray(read_image(tmp_path / "one.png")).tolist() == [[[255, 255, 255]]]
    assert folder(tmp_path, 16).images.shape == (1, 3, 16, 16)
    assert inspect(tmp_path / "one.png").oddities == set()


def png(width: int, height: int) -> bytes:
    """A header and no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8193, 10_000, 60_000, 2**31 - 1])
def test_a_picture_above_a_sane_size_is_refused(tmp_path: Path, side: int) -> None:
    """Pillow warns of some of them, and refuses others in words of its own."""
    (tmp_path / "bomb.png").write_bytes(png(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for look in (read_image, inspect):
            with pytest.raises(BadData, match=r"picture .*bomb\.png is .*at most 67,108,864 pixels are read"):
                look(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"hello\n", "not a picture of a known kind"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n", "not a picture of a known kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture of a known kind"),
    ],
    ids=["empty", "text", "cut off", "EPS, for which Pillow would run Ghostscript", "SVG"],
)
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    for look in (read_image, inspect):
        with pytest.raises(BadData, match=rf"cannot read picture .*x\.png: .*{words}") as error:
            look(tmp_path / "x.png")
        assert "\n" not in str(error.value)
    with pytest.raises(BadData, match=r"gone\.png: No such file"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tif", "webp", "ppm"])
def test_a_truncated_picture_is_found_by_its_head_and_end(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"picture.{suffix}"
    colour().save(file)
    assert inspect(file).size == (40, 30)
    whole = file.read_bytes()
    for kept in (len(whole) - len(whole) // 4, len(whole) // 2, 60):
        file.write_bytes(whole[:kept])
        with pytest.raises(BadData, match=f"cannot read picture .*picture.{suffix}"):
            inspect(file)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tif", "webp", "ppm"])
def test_no_damaged_picture_raises_anything_else(tmp_path: Path, suffix: str) -> None:
    random = np.random.default_rng(0)
    file = tmp_path / f"picture.{suffix}"
    colour().save(file)
    whole = file.read_bytes()
    messages = []
    for _ in range(60):
        damaged = bytearray(whole[: random.integers(1, len(whole) + 1)])
        for place in random.integers(0, min(len(damaged), 300), 2):
            damaged[place] = random.integers(256)
        file.write_bytes(damaged)
        for look in (inspect, read_image):
            try:
                look(file)
            except BadData as error:
                messages.append(str(error))
    assert len(messages) > 5
    assert all(str(file) in message and "\n" not in message for message in messages)


def test_many_pictures_are_looked_at_and_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flynet_tiny.flynet.data.picture_check._CHUNK", 4)
    for index in range(10):
        (colour() if index % 2 else with_alpha("RGBA")).save(tmp_path / f"{index}.png")
    Image.fromarray(RAMP).save(tmp_path / "9.png")
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as pool:
        found = check_pictures(lambda i: inspect(tmp_path / f"{i}.png"), 10, pool, lambda *at: seen.append(at))
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert describe([found, found]) == f"2 {Oddity.DEEP.value}; 10 {Oddity.TRANSPARENT.value}"
    assert describe([{}]) == ""
    (tmp_path / "7.png").write_bytes(b"")
    with ThreadPoolExecutor(2) as pool, pytest.raises(BadData, match=r"7\.png: it is empty"):
        check_pictures(lambda i: inspect(tmp_path / f"{i}.png"), 10, pool, lambda *_: None)


def test_of_very_many_pictures_the_first_and_the_last_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flynet_tiny.flynet.data.picture_check.MOST_CHECKED", 5)
    seen: list[int] = []

    def look(index: int) -> picture_file.PictureHeader:
        seen.append(index)
        return picture_file.PictureHeader((1, 1), (1, 1), frozenset())

    with ThreadPoolExecutor(1) as pool:
        check_pictures(look, 1001, pool, lambda *_: None)
    assert seen == [0, 250, 500, 750, 1000]
