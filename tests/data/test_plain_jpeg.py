"""A whole JPEG has the pixels that Pillow gives it; what is damaged, or has colours of its own, is left to Pillow."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_diff.data import decode
from lightning_diff.data.dataset import Pictures
from lightning_diff.data.formats import plain
from lightning_diff.data.index import build_index
from lightning_diff.data.pixels import square_of
from tests.cases.picture_files import enc, exif, photo

HOW: dict[str, dict[str, Any]] = {
    "whole colours": {"subsampling": 0},
    "half colours": {"subsampling": 1},
    "quarter colours": {"subsampling": 2},
    "progressive": {"progressive": True},
    "red, green, blue": {"keep_rgb": True},
    "restarts": {"restart_marker_blocks": 2},
}


def by_pillow(data: bytes, scale: int) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    if scale > 1:
        picture.draft(None, (picture.width // scale, picture.height // scale))
    picture.load()
    return picture


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("size", [(64, 64), (333, 500), (65, 31), (9, 200)], ids=str)
def test_it_has_the_pixels_of_pillow(size: tuple[int, int], how: str, mode: str) -> None:
    data = enc(
        photo(*size).convert(mode), "JPEG", quality=85, **({} if mode == "L" and "keep_rgb" in HOW[how] else HOW[how])
    )
    assert plain.size_of(data) == size
    for scale in (1, 2, 4, 8):
        found, theirs = plain.pixels_of(data, scale), by_pillow(data, scale)
        assert found is not None and theirs.mode == mode and found.dtype == np.uint8
        assert np.array_equal(found, np.asarray(theirs))


def test_what_is_not_plain_is_left_to_pillow() -> None:
    data = enc(photo(64, 64), "JPEG")
    half = len(data) // 2
    for damaged in (data[:half], data[:half] + b"\xff\xd9", data[:half] + b"\xff" * 40 + data[half + 40 :]):
        assert plain.pixels_of(damaged, 1) is None
    grey = enc(Image.new("L", (16, 16), 128), "JPEG")
    assert plain.size_of(grey) == (16, 16) and plain.pixels_of(grey, 1) is None  # it may be cut, and closed again
    assert plain.size_of(enc(photo(64, 64).convert("CMYK"), "JPEG")) is None
    assert plain.size_of(b"") is None and plain.size_of(data[:2] + data[-2:]) is None


def test_a_whole_jpeg_is_decoded_without_pillow_and_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = enc(photo(640, 480), "JPEG", exif=exif(6))
    with monkeypatch.context() as patched:
        patched.setattr(decode, "_by_pillow", lambda *_: pytest.fail("Pillow was asked"))
        found = decode.decode(data, 64)
    with monkeypatch.context() as patched:
        patched.setattr(decode, "size_of", lambda _: None)
        theirs = decode.decode(data, 64)
    assert np.array_equal(np.asarray(found.picture), np.asarray(theirs.picture)) and found.picture.size == (240, 320)
    assert (found.width, found.height, found.truncated, found.frame) == (480, 640, False, theirs.frame)


def test_a_picture_too_large_for_an_array_beside_it_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MOST_PIXELS", 4 * 64 * 64 - 4)
    monkeypatch.setattr(decode, "pixels_of", lambda *_: pytest.fail("it was decoded into an array"))
    assert decode.decode(enc(photo(64, 64), "JPEG")).picture.size == (64, 64)


def test_a_batch_has_the_memory_of_decoded_pictures(tmp_path: Path) -> None:
    """channels_last, which convolutions take; whichever of the ways a picture came."""
    some = [(photo(32, 32), "JPEG"), (photo(32, 32), "PNG"), (photo(50, 40), "JPEG")]
    for i, (picture, form) in enumerate(some):
        (tmp_path / f"{i}.{form.lower()}").write_bytes(enc(picture, form))
        (tmp_path / f"{i}.txt").write_text(f"picture {i}")
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for path in sorted(tmp_path.glob("[0-9].[jpt][!a]*")):
            tar.add(path, path.name)
    index = build_index([tmp_path / "0.tar"], tmp_path / "cache")
    batch = Pictures(index, 32).range(0, 3)
    assert batch.images.shape == (3, 3, 32, 32) and batch.images.is_contiguous(memory_format=torch.channels_last)
    for i, (picture, form) in enumerate(some):
        square = square_of(enc(picture, form), 32)
        assert square.permute(1, 2, 0).is_contiguous() and torch.equal(batch.images[i], square)
        assert batch.captions[i] == f"picture {i}"
