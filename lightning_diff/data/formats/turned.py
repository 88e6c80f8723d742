"""Pictures as the camera was held: what the orientation of EXIF and TIFF, 1 to 8, means."""

from __future__ import annotations

from PIL import Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turned(picture: Image.Image, turn: int) -> Image.Image:
    """The upright picture."""
    return picture.transpose(_TURNS[turn]) if turn in _TURNS else picture


def turned_frame(size: tuple[int, int], right: float, bottom: float, turn: int) -> tuple[float, float, float, float]:
    """Where a picture lies after it was turned. Before, it begins at the upper left, and may end within the last pixels."""
    width, height = size
    left, top = width - right, height - bottom  # what is free beside it, if it is turned by 180 degrees
    return {
        2: (left, 0, width, bottom),
        3: (left, top, width, height),
        4: (0, top, right, height),
        5: (0, 0, bottom, right),
        6: (top, 0, height, right),
        7: (top, left, height, width),
        8: (0, left, bottom, width),
    }.get(turn, (0, 0, right, bottom))
