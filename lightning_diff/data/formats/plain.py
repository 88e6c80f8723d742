"""JPEGs that are whole and have no errors, as nearly all are, decoded by libjpeg-turbo straight into an array.

The pixels are those of Pillow, which calls the same library and takes twice the time: it fetches the file in pieces, and
keeps four bytes a pixel. What is not plain is left to Pillow, whose errors name what is wrong."""

from __future__ import annotations

import numpy as np
import simplejpeg

from .jpeg import GREY

_AS = {"YCbCr": "RGB", "RGB": "RGB", "Gray": "GRAY"}  # CMYK has conventions of its own


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height of a stripped JPEG; None if it is not plain."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return (width, height) if colours in _AS else None


def pixels_of(data: bytes, scale: int) -> np.ndarray | None:
    """uint8 [H, W, 3], or of a grey picture [H, W], at 1 / `scale` of its size (1, 2, 4 or 8), each side rounded up; None if it
    is not plain."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        least = {"min_height": -(-height // scale), "min_width": -(-width // scale)} if scale > 1 else {}
        pixels: np.ndarray = simplejpeg.decode_jpeg(data, _AS[colours], min_factor=scale, strict=True, **least)
    except ValueError:
        return None
    last = pixels[-1]
    if last[-1, 0] in GREY and np.isin(last, GREY).all():  # it may be cut, and closed again
        return None
    return pixels if pixels.shape[2] == 3 else pixels[:, :, 0]
