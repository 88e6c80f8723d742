"""A picture becomes a square: its centre is cropped (crop), or what is beside it is filled with its border's colour (pad)."""

from __future__ import annotations

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels

NEAR = 16  # of 255: a pixel that is no farther from the border's colour, in each channel, has it
MOST_OF_BORDER = 0.9  # share of the border's pixels that must have its colour
WHITE = (255, 255, 255)


def fit_square(picture: Image.Image, size: int) -> Image.Image:
    """Crop a picture to its centre square and resize it to size x size (Lanczos, antialiased)."""
    side = min(picture.size)
    if picture.size == (size, size):
        return picture
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def cropped_square(picture: Image.Image, size: int, frame: Box, width: int, height: int) -> Image.Image:
    """`fit_square` of a picture of width x height pixels that was decoded at a reduced size and lies in `frame`. It is up to half
    a pixel off."""
    if picture.size == (size, size) == (width, height):
        return picture
    return picture.resize((size, size), Image.Resampling.LANCZOS, box=centre_of(picture.size, frame, width, height))


def centre_of(size: tuple[int, int], frame: Box, width: int, height: int) -> Box:
    """Where the centre square lies of a picture of width x height pixels that was decoded at a reduced size, has `size` now, and
    fills `frame`."""
    left, top, right, _ = frame
    scale, side = (right - left) / width, min(width, height)
    left += (width - side) // 2 * scale
    top += (height - side) // 2 * scale
    return left, top, min(left + side * scale, size[0]), min(top + side * scale, size[1])


def padded_square(picture: Image.Image, size: int, frame: Box, width: int, height: int) -> Image.Image:
    """The whole picture, resized (Lanczos, antialiased) so that its longer side is `size`, in the middle of a square. What is
    free beside it has the colour of its border. `frame` is where the picture of width x height pixels lies."""
    longer = max(width, height)
    inner = max(1, round(width * size / longer)), max(1, round(height * size / longer))
    resized = picture if picture.size == inner else picture.resize(inner, Image.Resampling.LANCZOS, box=frame)
    square = Image.new("RGB", (size, size), border_colour(resized))
    square.paste(resized, ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return square


def border_colour(picture: Image.Image) -> tuple[int, int, int]:
    """The colour for what is free beside an RGB picture. The border is the pixels of its two longer sides, which the filling
    touches. If at least nine in ten of them are near their median (at most 16 of 255 apart in each channel), it is the
    median; otherwise it is white."""
    pixels = np.asarray(picture)
    sides = pixels[[0, -1]] if picture.width >= picture.height else pixels[:, [0, -1]]
    border = sides.reshape(-1, 3).astype(np.int16)
    median = np.rint(np.median(border, axis=0)).astype(np.int16)
    near = (np.abs(border - median) <= NEAR).all(axis=1)
    red, green, blue = median.tolist()
    return (red, green, blue) if near.mean() >= MOST_OF_BORDER else WHITE
