"""A picture as a square: cropped to its centre, or padded with its border's colour. The laws of padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_diff.data import decode
from lightning_diff.data.dataset import Pictures
from lightning_diff.data.sources.folder import Folder
from lightning_diff.data.sources.own import OwnPictures
from lightning_diff.data.sources.shards import Shards
from lightning_diff.data.square import border_colour, fit_square
from lightning_diff.training.features import manifests
from tests.cases.eye import encoded, folder, tar
from tests.cases.picture_files import enc as stored
from tests.cases.picture_files import noise_ratio, photo


def padded(picture: Image.Image, size: int = 64, fit: str = "pad") -> Image.Image:
    return decode.decode(stored(picture, "PNG"), size, fit=fit).square(size, fit)


def framed(width: int, height: int, colour: tuple[int, int, int], frame: int) -> Image.Image:
    picture = Image.new("RGB", (width, height), colour)
    picture.paste(photo(width - 2 * frame, height - 2 * frame), (frame, frame))
    return picture


@pytest.mark.parametrize("side", [1, 20, 64, 65, 300])
def test_of_a_square_picture_both_are_the_same(side: int) -> None:
    picture = photo(max(side, 5), max(side, 5)).crop((0, 0, side, side))
    assert padded(picture).tobytes() == padded(picture, fit="crop").tobytes() == fit_square(picture, 64).tobytes()
    data = stored(picture, "JPEG")
    seen = [decode.decode(data, 16, fit=fit) for fit in ("crop", "pad")]
    assert seen[0].square(16, "crop").tobytes() == seen[1].square(16, "pad").tobytes()


@pytest.mark.parametrize(
    "width, height, inner", [(300, 100, 21), (100, 50, 32), (64, 10, 10), (40, 39, 62), (900, 1, 1)]
)
def test_the_whole_picture_is_in_the_middle_and_its_border_goes_on(width: int, height: int, inner: int) -> None:
    colour = (12, 200, 90)
    picture = framed(width, height, colour, width // 12) if height > 20 else Image.new("RGB", (width, height), colour)
    top = (64 - inner) // 2
    for tall in (False, True):
        given = picture.transpose(Image.Transpose.TRANSPOSE) if tall else picture
        pixels = np.asarray(padded(given))
        middle = pixels[:, top : top + inner] if tall else pixels[top : top + inner]
        size = (inner, 64) if tall else (64, inner)
        assert np.array_equal(middle, given.resize(size, Image.Resampling.LANCZOS))
        beside = np.delete(pixels, slice(top, top + inner), axis=tall)
        expected = border_colour(Image.fromarray(middle))
        assert beside.size == 64 * (64 - inner) * 3 and (beside == expected).all()
        assert np.abs(np.subtract(expected, colour)).max() <= 4


def test_a_border_of_several_colours_is_filled_with_white() -> None:
    sky = Image.new("RGB", (80, 40), (90, 140, 250))
    sky.paste((30, 120, 20), (0, 20, 80, 40))
    assert border_colour(sky) == (255, 255, 255) == border_colour(photo(90, 60))
    pen = Image.new("RGB", (80, 40), (240, 230, 220))  # it reaches the short sides, which nothing is put beside
    pen.paste((0, 0, 90), (0, 15, 80, 25))
    assert border_colour(pen) == (240, 230, 220)
    for share, expected in ((0.9, (240, 230, 220)), (0.85, (255, 255, 255))):
        spotted = Image.new("RGB", (100, 20), (240, 230, 220))
        spotted.paste((0, 0, 0), (int(100 * share), 0, 100, 20))
        assert border_colour(spotted) == expected
    clear = Image.new("RGBA", (80, 40), (9, 9, 9, 0))
    assert np.asarray(padded(clear)).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size, scale", [(64, 8), (130, 4), (256, 2), (400, 1)])
@pytest.mark.parametrize("frame", [0, 100])
def test_a_reduced_jpeg_is_padded_alike(orientation: int, size: int, scale: int, frame: int) -> None:
    """The longer side decides the scale. The sides are no multiples of 8, as in the test of the crop."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = framed(1245, 413, (12, 200, 90), frame) if frame else photo(1245, 413)
    data = stored(picture, "JPEG", quality=90, exif=exif)
    whole, reduced = decode.decode(data), decode.decode(data, size, fit="pad")
    assert (reduced.width, reduced.height) == whole.picture.size and max(reduced.picture.size) == -(-1245 // scale)
    assert noise_ratio(reduced.square(size, "pad"), whole.square(size, "pad")) > 43
    assert scale == 1 or max(reduced.picture.size) >= decode.ENOUGH * size


@pytest.mark.parametrize("kind", [Folder, Shards])
def test_the_way_is_part_of_what_names_the_pictures(kind: type[OwnPictures], tmp_path: Path) -> None:
    files = [("a.png", encoded((9, 9, 200), "PNG", (60, 20))), ("a.txt", "a wide one")]
    place = folder(tmp_path / "set", files) if kind is Folder else tar(tmp_path / "set.tar", files)
    some = {fit: kind(source=str(place), image_size=16, test="none", fit=fit) for fit in ("crop", "pad")}
    names = [one.identity(tmp_path / "cache") for one in some.values()]
    assert names[0] != names[1] and names[1].endswith("-16px-pad") and names[0].endswith("-16px")
    hashes = {"autoencoder": "a", "text": "b"}
    made = {}
    for fit, one in some.items():
        pictures = Pictures(one.prepare(tmp_path / "cache").splits["train"], 16, fit=fit)
        made[fit] = manifests(pictures, hashes)
        pixels = pictures.read(0)[0]
        assert pixels[:, 8, 8].tolist() == [9, 9, 200] == pixels[:, 0, 0].tolist()
    assert made["crop"]["latents"] != made["pad"]["latents"] and made["crop"]["captions"] == made["pad"]["captions"]
    assert "fit" not in made["crop"]["latents"]  # what is cached already stays right


@pytest.mark.parametrize("across", [1, 3, 7, 8, 12, 20])
def test_a_thin_jpeg_is_padded_too(across: int) -> None:
    """It cannot be decoded at a scale at which it has no width."""
    for size in ((across, 4001), (4001, across)):
        found = decode.decode(stored(Image.new("RGB", size, (12, 200, 90)), "JPEG", quality=95), 16, fit="pad")
        assert found.frame[2] <= found.picture.width and found.frame[3] <= found.picture.height
        assert np.abs(np.asarray(found.square(16, "pad"), int) - (12, 200, 90)).max() < 5
