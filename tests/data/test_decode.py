"""What a viewer would show is what is decoded; what is no picture, or unpacks to a bomb, is a BadPicture."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_diff.data import decode
from lightning_diff.data.decode import BadPicture, open_picture, to_pixels, to_tensor, to_unit
from lightning_diff.data.square import fit_square
from tests.cases.picture_files import enc as stored
from tests.cases.picture_files import noise_ratio, photo


def lying() -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (64, 32), "blue")
    picture.paste((255, 0, 0), (0, 0, 32, 32))
    return picture


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM"])
def test_a_bomb_is_refused_by_its_header(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = stored(lying(), form)
    monkeypatch.setattr(decode, "MOST_PIXELS", 64 * 32 - 1)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("unpacked before it was measured"))
    with pytest.raises(BadPicture, match="64 x 32") as refused:
        open_picture(data)
    assert refused.value.reason == "too large"


def test_a_large_jpeg_is_reduced_and_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = stored(lying(), "JPEG", progressive=True)
    monkeypatch.setattr(decode, "MOST_PIXELS", 64 * 32 // 2)
    found = decode.decode(data)
    assert found.picture.size == (32, 16) and (found.width, found.height) == (64, 32)
    monkeypatch.setattr(decode, "MOST_PIXELS", 64 * 32 // 2 - 1)
    with pytest.raises(BadPicture, match="64 x 32"):
        open_picture(data)


@pytest.mark.parametrize("size, most", [((8200, 8200), 400), ((12000, 9000), 700)])
def test_pictures_of_phones_need_no_more_memory_than_is_said(size: tuple[int, int], most: int) -> None:
    """In a process of its own, because memory is measured at its peak. Pillow's own limits must not say a word."""
    form = "PNG" if size[0] == size[1] else "JPEG"
    code = f"""
import io, resource, warnings
from PIL import Image
from lightning_diff.data.decode import decode
out = io.BytesIO()
Image.new("L", {size}, 7).save(out, {form!r})
Image.MAX_IMAGE_PIXELS = 1000
warnings.simplefilter("error")
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
start = peak()
reduced = decode(out.getvalue(), 256).picture.size
first = peak() - start
whole = decode(out.getvalue())
print(*reduced, first, whole.width, whole.height, *whole.picture.getpixel((0, 0)), peak() - start)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    width, height, first, *rest, peak = map(int, ran.stdout.split())
    assert rest == [*size, 7, 7, 7] and peak < most
    assert (width, height) == size if form == "PNG" else ((width, height) == (1500, 1125) and first < 60)


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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size, scale", [(64, 8), (130, 4), (256, 2), (400, 1)])
def test_a_reduced_jpeg_gives_the_same_square(orientation: int, size: int, scale: int) -> None:
    """The sides are no multiples of 8: the last pixels of a reduced picture are there in part, at any of its borders."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = stored(photo(1101, 1245), "JPEG", quality=90, exif=exif)
    whole, reduced = decode.decode(data), decode.decode(data, size)
    assert (reduced.width, reduced.height) == whole.picture.size and max(reduced.picture.size) == -(-1245 // scale)
    assert noise_ratio(reduced.square(size), fit_square(whole.picture, size)) > 40
    assert min(reduced.picture.size) >= decode.ENOUGH * size or scale == 1


CUTS = [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 7}, {"subsampling": 0}]


@pytest.mark.parametrize("how", CUTS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_its_end_is_read_and_counted(mode: str, how: dict[str, object]) -> None:
    data = stored(photo(600, 400).convert(mode), "JPEG", quality=90, **how)
    whole = decode.decode(data)
    assert not whole.truncated
    for lost in (2, 3):
        found = decode.decode(data[:-lost])
        assert found.truncated and noise_ratio(found.picture, whole.picture) > 30
        with pytest.raises(BadPicture) as refused:
            decode.decode(data[:-lost], truncated=False)
        assert refused.value.reason == "truncated"


@pytest.mark.parametrize("how", CUTS, ids=str)
@pytest.mark.parametrize("filled", [b"", b"zeros", b"\xff\xd9"])
def test_half_a_jpeg_is_refused_even_if_it_was_filled_up_or_closed(how: dict[str, object], filled: bytes) -> None:
    data = stored(photo(600, 400), "JPEG", quality=90, **how)
    if filled == b"\xff\xd9" and "progressive" in how:
        return  # a whole file, by its own word, of a softer picture
    start = data.index(b"\xff\xda")
    half = data[: (start + len(data)) // 2]
    with pytest.raises(BadPicture, match="missing") as refused:
        open_picture(half + (bytes(len(half)) if filled == b"zeros" else filled))
    assert refused.value.reason == "truncated"


@pytest.mark.parametrize("how", CUTS, ids=str)
def test_a_grey_border_is_not_taken_for_missing_data(how: dict[str, object]) -> None:
    picture = Image.new("RGB", (256, 256), (128, 128, 128))
    picture.paste(photo(256, 120), (0, 60))
    for each in (picture, picture.convert("L"), Image.new("RGB", (64, 64), (128, 128, 128))):
        assert not decode.decode(stored(each, "JPEG", quality=90, **how)).truncated


def test_a_png_lacks_at_most_its_last_rows() -> None:
    data = stored(Image.effect_noise((64, 64), 90).convert("RGB"), "PNG")
    whole = open_picture(data)
    for lost in (12, 20):  # its last chunk; the sum of its pixels too
        found = decode.decode(data[:-lost])
        assert found.truncated and found.picture.tobytes() == whole.tobytes()
    nearly = decode.decode(data[: int(len(data) * 0.97)])
    assert nearly.truncated and nearly.picture.crop((0, 0, 64, 60)).tobytes() == whole.crop((0, 0, 64, 60)).tobytes()
    with pytest.raises(BadPicture, match="rows are missing"):
        decode.decode(data[: len(data) // 2])


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
