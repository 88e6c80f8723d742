"""Decoding of pictures, and conversion to tensors. The bytes are not trusted: format and size are checked."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = 64_000_000  # a larger picture is refused as a decompression bomb


SUFFIXES = ("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "tif", "tiff", "avif")
OTHER_PICTURES = ("heic", "heif", "jxl", "psd", "svg")
REASONS = {"damaged": "mend it"}


class BadPicture(Exception):
    """A picture cannot be read. The message says why."""

    reason = "damaged"


@dataclass(frozen=True)
class Decoded:
    picture: Image.Image
    width: int
    height: int
    truncated: bool


def decode(data: bytes, size: int = 0, truncated: bool = True) -> Decoded:
    picture = open_picture(data)
    return Decoded(picture, picture.width, picture.height, False)


def open_picture(data: bytes) -> Image.Image:
    """Decode a JPEG, PNG or WebP file to an RGB picture. Transparent pixels become white. Raises BadPicture."""
    try:
        picture: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > MOST_PIXELS:
            raise BadPicture(f"{picture.width} x {picture.height} pixels are more than {MOST_PIXELS:,}")
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # 16-bit grey, which `convert` would clip
            picture = Image.fromarray((np.asarray(picture) / 257).round().clip(0, 255).astype(np.uint8))
        if picture.mode in ("RGBA", "LA", "P") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            picture = Image.alpha_composite(white, picture)
        return picture.convert("RGB")
    except BadPicture:
        raise
    except Exception as e:  # PIL raises many kinds of errors for damaged files
        raise BadPicture(f"{type(e).__name__}: {e}") from e


def fit_square(picture: Image.Image, size: int) -> Image.Image:
    """Crop a picture to its centre square and resize it to size x size (Lanczos, antialiased)."""
    side = min(picture.size)
    if picture.size == (size, size):
        return picture
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as a uint8 tensor [3, H, W]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 [..., 3, H, W] -> float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_pixels(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] -> uint8, clamped and *rounded* (truncation shifts FID)."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
