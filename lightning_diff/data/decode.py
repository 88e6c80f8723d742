"""Decoding of pictures, and conversion to tensors. The bytes are not trusted: kind and size are checked before decoding.

What a viewer shows is what is decoded: turned as the camera was held, transparent pixels white, colours in sRGB, the first of
several frames. What does not make pixels (texts, dates, thumbnails) never reaches Pillow, so that it cannot cost a picture.

Memory. A decoded picture has at most MOST_PIXELS pixels, which take 512 MiB; on the way to them, decoding takes at most
1.25 GiB in all. A JPEG may be twice as large: it is decoded at half its size, or less. Its header refuses what is larger."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from .formats.chunks import complete_png, strip_png, strip_webp
from .formats.colour import to_rgb, white_where
from .formats.jpeg import ends_in_grey, filled_up, frame_of, missing_share, scans_are_there, strip_jpeg
from .formats.kinds import KINDS, OTHER_PICTURES, REASONS, SUFFIXES, BadPicture, Stripped, bad_picture, kind_of, plugin
from .formats.plain import pixels_of, size_of
from .formats.tiff import number_of, orientation_of, strip_tiff, tags_of
from .formats.turned import turned, turned_frame
from .square import cropped_square, fit_square, padded_square

__all__ = [
    "DECODING",
    "MOST_MISSING",
    "MOST_PIXELS",
    "OTHER_PICTURES",
    "REASONS",
    "SUFFIXES",
    "BadPicture",
    "Decoded",
    "decode",
    "open_picture",
    "to_pixels",
    "to_tensor",
    "to_unit",
]

# The version of this code: another one may decode to other pixels, so what is cached of them is computed anew. How well the same
# filter is computed in resizing does not count: it would cost a set of millions hours for a level or two of 255.
DECODING = 2
MOST_PIXELS = 1 << 27  # Pillow keeps 4 bytes for each: 512 MiB
MOST_MISSING = 0.05  # share of the pixels that a file may lack at its end; a viewer shows grey there
# A JPEG may be decoded at a scale whose shorter side (to be padded: the longer one) is so many times the size that is wanted.
# Against the whole picture, resized by Lanczos, the peak signal-to-noise ratio is then at least 45 dB at 64 px and 43 dB at
# 256 px (48 dB on average), less than what the JPEG itself lost; with 1, it is 40 and 34 dB.
ENOUGH = 2

Loaded = tuple[
    Image.Image | np.ndarray, int, int, int, bool
]  # width and height as stored, the scale, whether it is whole


@dataclass(frozen=True)
class Decoded:
    """An RGB picture, what it was, and where it lies in its pixels."""

    pixels: Image.Image | np.ndarray  # as an array uint8 [H, W, 3]
    width: int  # of the upright picture as stored, before any reduction
    height: int
    truncated: bool  # the file lacks its last bytes
    frame: tuple[float, float, float, float]  # left, top, right, bottom; a reduced picture may end within a pixel

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pixels."""
        return self.pixels.shape[1::-1] if isinstance(self.pixels, np.ndarray) else self.pixels.size

    @cached_property
    def picture(self) -> Image.Image:
        return Image.fromarray(self.pixels) if isinstance(self.pixels, np.ndarray) else self.pixels

    def square(self, size: int, fit: str = "crop") -> Image.Image:
        """The picture as a square, size x size: cropped to its centre, or padded."""
        make = padded_square if fit == "pad" and self.width != self.height else cropped_square
        return make(self.picture, size, self.frame, self.width, self.height)


def decode(data: bytes, size: int = 0, truncated: bool = True, fit: str = "crop") -> Decoded:
    """Decode a picture. Raises BadPicture, and nothing else.

    With `size`, a JPEG is decoded at the smallest scale (1, 1/2, 1/4, 1/8) whose shorter side is still at least twice as long;
    to be padded (`fit`), whose longer side is.
    Without `truncated`, a file that lacks its last bytes is refused even if nearly all of its pixels are there."""
    kind = ""
    try:
        kind = kind_of(data)
        if kind == "TIFF":  # Pillow warns of odd tags
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _decode(kind, data, size, truncated, fit)
        return _decode(kind, data, size, truncated, fit)
    except BadPicture:
        raise
    except MemoryError as e:
        raise BadPicture(f"{kind}: there is not enough memory for it", "too large") from e
    except Exception as e:  # Pillow raises many kinds of errors for damaged files
        raise bad_picture(kind, e) from e


def open_picture(data: bytes) -> Image.Image:
    """Decode a picture at its full size. Raises BadPicture."""
    return decode(data).picture


def _decode(kind: str, data: bytes, size: int, truncated: bool, fit: str) -> Decoded:
    file = _STRIPPERS[kind](data) if kind in _STRIPPERS else Stripped(data)
    plain = _plain_jpeg(file, size, fit) if kind == "JPEG" and file.ended else None
    picture, width, height, scale, whole = plain or _by_pillow(kind, file, size, fit)
    if not whole and not truncated:
        raise BadPicture(f"{kind}: the file ends early", "truncated")
    info = picture.info if isinstance(picture, Image.Image) else {}
    turn = orientation_of(file.exif or _said(info, "exif"), file.xmp or _said(info, "xmp"))
    icc = file.icc or _said(info, "icc_profile")
    if isinstance(picture, np.ndarray):
        if turn == 1 and not icc and picture.ndim == 3:  # the usual case
            return Decoded(picture, width, height, False, (0, 0, width / scale, height / scale))
        picture = Image.fromarray(picture)
    full = 65535 if kind in ("PNG", "PPM") and picture.mode == "I" else 0
    rgb = to_rgb(_as_meant(kind, picture, data), icc, file.key, full)
    if len(file.key) == 3:
        rgb = white_where(rgb, _low_bytes(file.data), file.key)
    rgb.info = {}  # a profile that was applied must not be saved with the picture again
    frame = turned_frame(rgb.size, width / scale, height / scale, turn)
    if turn >= 5:
        width, height = height, width
    return Decoded(turned(rgb, turn), width, height, not whole, frame)


def _plain_jpeg(file: Stripped, size: int, fit: str) -> Loaded | None:
    stored = size_of(file.data)
    if stored is None or stored[0] * stored[1] > MOST_PIXELS // 4:  # then an array beside the picture is much memory
        return None
    scale = _scale_of("JPEG", file.data, *stored, size, fit)
    pixels = pixels_of(file.data, scale)
    return None if pixels is None else (pixels, *stored, scale, True)


def _by_pillow(kind: str, file: Stripped, size: int, fit: str) -> Loaded:
    picture = _opened(kind, file.data)
    width, height = picture.size
    scale = _scale_of(kind, file.data, width, height, size, fit)
    if kind == "JPEG":
        return picture, width, height, scale, _load_jpeg(picture, file, scale)
    if kind == "PNG":
        picture, whole = _load_png(picture, file)
        return picture, width, height, scale, whole
    picture.load()
    return picture, width, height, scale, file.ended


_STRIPPERS: dict[str, Callable[[bytes], Stripped]] = {
    "JPEG": strip_jpeg,
    "PNG": strip_png,
    "WebP": strip_webp,
    "TIFF": strip_tiff,
}


def _opened(kind: str, data: bytes) -> ImageFile.ImageFile:
    try:
        return plugin(kind)(io.BytesIO(data))
    except Exception:
        # AVIF with broken EXIF is refused as a whole: its entry in the list of items gets a type that no decoder knows
        without = (
            re.sub(rb"(infe.{8}(?:..)?)Exif", rb"\1none", data[:4096], flags=re.DOTALL)
            if kind == "AVIF"
            else data[:4096]
        )
        if without == data[:4096]:
            raise
        return plugin(kind)(io.BytesIO(without + data[4096:]))


def _scale_of(kind: str, data: bytes, width: int, height: int, size: int, fit: str) -> int:
    """The scale to decode at: 1, 2, 4 or 8, of which only a JPEG has all. Raises BadPicture for a picture that is too large."""
    pixels, scale = width * height, 1
    most = int(MOST_PIXELS * KINDS[kind][2])
    if kind == "JPEG":
        side = max(width, height) if fit == "pad" else min(width, height)  # it becomes `size` pixels long
        enough = size and side // ENOUGH // size
        scale = next((s for s in (8, 4, 2) if s <= min(enough, width, height)), 1)
        most = 2 * MOST_PIXELS
        kept = 0.0  # bytes a pixel of the coefficients, which a progressive JPEG keeps until its end
        if pixels > MOST_PIXELS // 4:
            progressive, samples, _ = frame_of(data)
            kept = 2 * samples if progressive else 0.0
        while scale < 8 and (pixels > MOST_PIXELS * scale**2 or pixels * (kept + 4 / scale**2) > 10 * MOST_PIXELS):
            scale *= 2
        if kept:
            most = min(most, int(10 * MOST_PIXELS / (kept + 4 / scale**2)))
    if pixels > most:
        raise BadPicture(f"{width} x {height} pixels are more than {most:,}", "too large")
    return scale


def _drafted(picture: ImageFile.ImageFile, scale: int) -> ImageFile.ImageFile:
    if scale > 1:
        picture.draft(None, (picture.width // scale, picture.height // scale))
    picture.load()
    return picture


def _load_jpeg(picture: ImageFile.ImageFile, file: Stripped, scale: int) -> bool:
    """Decode the pixels. Return whether the file has them all. Raises BadPicture where it lacks more than MOST_MISSING.

    A file that lacks its end, or whose picture ends in the grey of missing data, is decoded once more with other data behind
    what it has: what changes is missing. So a border that is grey indeed is not taken for it."""
    height = picture.height
    _drafted(picture, scale)
    if file.ended and not ends_in_grey(picture):
        return True
    other = _drafted(_opened("JPEG", filled_up(file.data)), scale)
    share = missing_share(picture, other, height)
    if file.ended and not share:
        return True
    progressive, _, components = frame_of(file.data)
    if not scans_are_there(file.data, components, progressive, share, MOST_MISSING):
        what = f"the last {share:.0%} of its pixels" if share > MOST_MISSING else "its last scans"
        raise BadPicture(f"JPEG: {what} are missing", "truncated")
    return False


def _load_png(picture: ImageFile.ImageFile, file: Stripped) -> tuple[ImageFile.ImageFile, bool]:
    """Decode the pixels. Return the picture, and whether the file has them all and its end."""
    try:
        picture.load()
        return picture, file.ended
    except OSError:
        data, share = complete_png(file.data)
        if share > MOST_MISSING:
            raise BadPicture(f"PNG: the last {share:.0%} of its rows are missing", "truncated") from None
        picture = _opened("PNG", data)
        picture.load()
        return picture, False


def _low_bytes(data: bytes) -> Image.Image:
    """The low bytes of a PNG of 16-bit RGB. Pillow unpacks the first of each two bytes; told otherwise, the second."""
    picture = _opened("PNG", data)
    picture.tile = [(*tile[:3], "RGB;16L") for tile in picture.tile]  # type: ignore[misc]
    picture.load()
    return picture


def _as_meant(kind: str, picture: Image.Image, data: bytes) -> Image.Image:
    """What Pillow does not see: a TGA of 32 bits may have no transparency among them; white may be zero in a TIFF of 16 bits."""
    if kind == "TGA" and picture.mode == "RGBA" and not data[17] & 15:
        return picture.convert("RGB")
    if kind == "TIFF" and picture.mode.startswith("I;16"):
        meaning = next((number_of(data, t) for t in tags_of(data) if t.number == 262), None)
        return Image.fromarray(65535 - np.asarray(picture)) if meaning == 0 else picture
    return picture


def _said(info: dict[Any, Any], name: str) -> bytes:
    value = info.get(name)
    return value if isinstance(value, bytes) else b""


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as a uint8 tensor [3, H, W]."""
    planes = bytearray().join(picture.tobytes("raw", channel) for channel in "RGB")
    return torch.frombuffer(planes, dtype=torch.uint8).view(3, picture.height, picture.width)


def resized(images: Tensor, size: int) -> Tensor:
    """The centre squares of pictures, uint8 [B, 3, H, W] -> [B, 3, size, size] (Lanczos)."""
    if images.shape[-2:] == (size, size):
        return images
    squares = [fit_square(Image.fromarray(one.permute(1, 2, 0).numpy()), size) for one in images]
    return torch.stack([to_tensor(square) for square in squares])


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 [..., 3, H, W] -> float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_pixels(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] -> uint8, clamped and *rounded* (truncation shifts FID)."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
