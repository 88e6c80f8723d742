"""From bytes to the tensor that is trained on: the pixels of decode.py, resized quickly."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lightning_diff.data import pixels
from lightning_diff.data.decode import decode, to_tensor
from lightning_diff.data.pixels import square_of
from tests.cases.picture_files import enc, noise_ratio, photo

SIZES = [(300, 200), (200, 300), (301, 301), (64, 64), (64, 90), (40, 33), (1, 1), (900, 7), (260, 512), (1030, 777)]


def shown(data: bytes, size: int, fit: str = "crop") -> Image.Image:
    found = square_of(data, size, fit)
    assert found.shape == (3, size, size)
    return Image.fromarray(found.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("size", [16, 64, 256])
@pytest.mark.parametrize("width, height", SIZES)
def test_a_square_is_that_of_pillow(width: int, height: int, size: int) -> None:
    picture = photo(max(width, 20), max(height, 20)).crop((0, 0, width, height))
    side = min(width, height)
    box = ((width - side) // 2, (height - side) // 2, (width - side) // 2 + side, (height - side) // 2 + side)
    square = picture.crop(box)
    data = enc(picture, "PNG")
    found, wanted = shown(data, size), decode(enc(square, "PNG"), size).square(size)
    assert found.tobytes() == wanted.tobytes() or (side != size and noise_ratio(found, wanted) > 60)
    assert shown(data, size, "pad").tobytes() == decode(data, size, fit="pad").square(size, "pad").tobytes() or (
        width == height and noise_ratio(shown(data, size, "pad"), wanted) > 60
    )
    for jpeg in (enc(picture, "JPEG", quality=92), enc(picture, "JPEG", progressive=True)):
        whole = decode(jpeg, size).square(size)
        assert noise_ratio(shown(jpeg, size), whole) > 42  # Pillow's looks beyond the border


def test_an_older_torch_gives_the_same_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    data = enc(photo(300, 300), "PNG")
    quick = shown(data, 64)
    monkeypatch.setattr(pixels, "LANCZOS", False)
    assert noise_ratio(quick, shown(data, 64)) > 60
    assert shown(data, 64).tobytes() == decode(data, 64).square(64).tobytes()


def test_a_tensor_has_the_channels_of_the_picture() -> None:
    picture = photo(31, 17)
    assert np.array_equal(to_tensor(picture).numpy(), np.asarray(picture).transpose(2, 0, 1))
    assert to_tensor(picture).is_contiguous()
