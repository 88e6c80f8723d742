"""What a viewer would show is what is decoded; what is no picture, or unpacks to a bomb, is a BadPicture."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_diff.data import decode
from lightning_diff.data.decode import BadPicture, fit_square, open_picture, to_pixels, to_tensor, to_unit


def stored(picture: Image.Image, form: str, **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **more)
    return out.getvalue()


def lying() -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (64, 32), "blue")
    picture.paste((255, 0, 0), (0, 0, 32, 32))
    return picture


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"<svg/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        stored(lying(), "BMP"),
        stored(lying(), "GIF"),
        stored(lying(), "PNG")[:40],
        stored(lying(), "JPEG")[:-300],
        stored(lying(), "WEBP")[:60],
    ],
)
def test_only_whole_pictures_of_the_three_formats_are_opened(data: bytes) -> None:
    with pytest.raises(BadPicture):
        open_picture(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_bomb_is_refused_by_its_header(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MOST_PIXELS", 64 * 32 - 1)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("unpacked before it was measured"))
    with pytest.raises(BadPicture, match="64 x 32"):
        open_picture(stored(lying(), form))


def test_the_largest_that_is_no_bomb_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MOST_PIXELS", 64 * 32)
    assert open_picture(stored(lying(), "PNG")).tobytes() == lying().tobytes()


@pytest.mark.parametrize("orientation, top", [(1, None), (3, None), (6, "red"), (8, "blue")])
def test_a_camera_held_upright(orientation: int, top: str | None) -> None:
    """It writes the picture lying and says so in EXIF; orientation 6 is seen turned by 90 degrees clockwise."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = open_picture(stored(lying(), "JPEG", exif=exif, quality=95))
    assert seen.size == ((64, 32) if top is None else (32, 64))
    corner = seen.getpixel((2, 2))
    red = orientation in (1, 6)
    assert isinstance(corner, tuple) and (corner[0] > 200 > 50 > corner[2]) == red


def test_transparent_parts_are_white() -> None:
    clear, grey = Image.new("RGBA", (4, 4), (9, 9, 9, 0)), Image.new("LA", (4, 4), (9, 0))
    palette = Image.new("P", (4, 4))
    for data in (
        stored(clear, "PNG"),
        stored(clear, "WEBP", lossless=True),
        stored(grey, "PNG"),
        stored(palette, "PNG", transparency=0),
        stored(Image.new("RGB", (4, 4), (9, 9, 9)), "PNG", transparency=(9, 9, 9)),
        stored(Image.new("L", (4, 4), 9), "PNG", transparency=9),
    ):
        assert open_picture(data).getpixel((1, 1)) == (255, 255, 255)
    half = open_picture(stored(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG")).getpixel((1, 1))
    assert half == (255, 127, 127)


def test_other_modes_keep_their_brightness() -> None:
    grey16 = Image.fromarray(np.full((4, 4), 128 * 257, np.uint16))
    for data in (stored(grey16, "PNG"), stored(Image.new("L", (4, 4), 128), "PNG")):
        assert open_picture(data).getpixel((1, 1)) == (128, 128, 128)
    red = open_picture(stored(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")).getpixel((1, 1))
    assert isinstance(red, tuple) and red[0] > 200 > 60 > red[1]


def test_the_centre_square_is_kept() -> None:
    picture = Image.new("RGB", (90, 30), "blue")
    picture.paste((255, 0, 0), (30, 0, 60, 30))
    for turned in (picture, picture.transpose(Image.Transpose.ROTATE_90)):
        square = np.asarray(fit_square(turned, 10))
        assert square.shape == (10, 10, 3) and square[..., 0].min() > 200 > 50 > square[..., 2].max()
    assert fit_square(Image.new("RGB", (1, 500), "red"), 16).size == (16, 16)
    same = lying().resize((16, 16))
    assert fit_square(same, 16).tobytes() == same.tobytes()


def test_pixels_and_units_are_inverse() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).expand(3, 2, 256)
    unit = to_unit(pixels)
    assert unit.min() == -1 and unit.max() == 1 and torch.equal(to_pixels(unit), pixels)
    assert to_pixels(torch.tensor([-3.0, 3.0, 0.9999, -0.9999])).tolist() == [0, 255, 255, 0]
    found = to_tensor(Image.new("RGB", (5, 7), (1, 2, 3)))
    assert found.shape == (3, 7, 5) and found.dtype == torch.uint8 and found[:, 6, 4].tolist() == [1, 2, 3]
