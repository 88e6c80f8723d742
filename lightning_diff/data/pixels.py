"""From a picture's bytes to the tensor that is trained on.

torch resizes by the same filter as Pillow (Lanczos, antialiased) in a quarter of the time. Its values differ by one level or two
of 255 here and there (the peak signal-to-noise ratio is at least 60 dB). It resizes what was cut out: at the border of a square
Pillow's filter reaches into what is cut away, and this one does not."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .decode import Decoded, decode
from .square import Box, centre_of

# torch has it from 2.12 on, before that Pillow resizes. It computes in whole numbers: no number of threads changes them.
LANCZOS = hasattr(torch.ops.aten, "_upsample_lanczos2d_aa")


def square_of(data: bytes, size: int, fit: str = "crop") -> Tensor:
    """A picture's bytes as a square, uint8 [3, size, size] in channels_last memory: cropped to its centre, or padded (`fit`).
    Raises BadPicture."""
    seen = decode(data, size, fit=fit)
    if fit == "pad" and seen.width != seen.height:
        return tensor_of(seen.square(size, fit))
    return part_of(seen, centre_of(seen.size, seen.frame, seen.width, seen.height), size, size)


def tensor_of(picture: Image.Image | np.ndarray) -> Tensor:
    """An RGB picture as uint8 [3, H, W] in channels_last memory; of an array [H, W, 3] a view."""
    pixels = picture if isinstance(picture, np.ndarray) else np.array(picture)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def part_of(seen: Decoded, box: Box, width: int, height: int) -> Tensor:
    """The part of a picture in `box`, resized to uint8 [3, height, width] in channels_last memory."""
    left, top, right, bottom = (round(edge) for edge in box)
    if not LANCZOS or (left, top, right, bottom) != box:
        return tensor_of(seen.picture.resize((width, height), Image.Resampling.LANCZOS, box=box))
    pixels = seen.pixels if isinstance(seen.pixels, np.ndarray) else np.array(seen.pixels)
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    if part.shape == (height, width, 3):
        return tensor_of(part)
    planes = tensor_of(part)[None]
    planes = torch.nn.functional.interpolate(planes, size=(height, width), mode="lanczos", antialias=True)[0]
    found = np.empty((height, width, 3), np.uint8)
    for channel, plane in enumerate(planes.numpy()):  # one by one it takes a quarter of the time
        found[:, :, channel] = plane
    return tensor_of(found)
