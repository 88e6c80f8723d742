"""Colours: any of Pillow's modes, with its transparency and its colour profile, as the RGB that a browser shows on white."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

_UNSEEN = 2  # levels of 255: a profile that changes no colour by more is taken for sRGB
_ROWS = 256  # rows that are converted at once, so that numbers of 8 bytes never fill the memory
_WHITE = (255, 255, 255)


def to_rgb(picture: Image.Image, icc: bytes = b"", key: tuple[int, ...] = (), full: float = 0) -> Image.Image:
    """An RGB picture. Transparent pixels become white.

    `key` is a 16-bit colour that is transparent; `full` is the value of white in a picture of large numbers, 0 if unknown."""
    mode = picture.mode
    if mode == "RGB" and not icc and "transparency" not in picture.info:
        return picture  # the usual case
    if mode.startswith("I") or mode == "F":
        picture = _eight_bits(picture, key, full)
    elif mode in ("P", "PA", "1", "L", "RGB", "La", "RGBa"):
        palette = picture.palette
        clear = (
            mode in ("PA", "La", "RGBa")
            or "transparency" in picture.info
            or (palette is not None and palette.mode == "RGBA")
        )
        if clear:
            picture = picture.convert("RGBA")
        elif mode in ("P", "1"):
            picture = picture.convert("RGB" if mode == "P" else "L")
    elif mode == "LAB":
        picture = _from_lab(picture)
    elif mode in ("YCbCr", "HSV", "RGBX"):
        picture = picture.convert("RGB")
    if icc:
        picture = _managed(picture, icc)
    if picture.mode == "LA":
        picture = picture.convert("RGBA")
    if picture.mode == "RGBA":
        white = Image.new("RGB", picture.size, _WHITE)
        white.paste(picture, mask=picture)
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _eight_bits(picture: Image.Image, key: tuple[int, ...], full: float) -> Image.Image:
    """Large integers or fractions to grey. White is 65535 for 16 bits; other numbers are bright as their largest says."""
    values = np.asarray(picture)
    if not full and picture.mode.startswith("I;16"):
        full = 65535
    if not full:
        most = max(float(np.nanmax(np.where(np.isfinite(v), v, np.nan), initial=0)) for v in _blocks(values))
        full = next(
            (f for f in ((1.0, 255.0, 65535.0) if picture.mode == "F" else (255.0, 65535.0)) if most <= f), most
        )
    grey = np.empty(values.shape, np.uint8)
    for block, out in zip(_blocks(values), _blocks(grey), strict=True):
        scaled = np.nan_to_num(block.astype(np.float64) * (255 / full), nan=0, posinf=255, neginf=0)
        out[...] = scaled.round().clip(0, 255)
        if key:
            out[block == key[0]] = 255
    return Image.fromarray(grey)


def _blocks(values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [values[i : i + _ROWS] for i in range(0, len(values), _ROWS)]


def white_where(picture: Image.Image, low_bytes: Image.Image, key: tuple[int, ...]) -> Image.Image:
    """A 16-bit RGB picture with one transparent colour. Its high and low bytes were read apart, as 8-bit pictures."""
    high, low = np.asarray(picture), np.asarray(low_bytes)
    clear = (high == [k >> 8 for k in key]).all(-1) & (low == [k & 255 for k in key]).all(-1)
    picture.paste(_WHITE, mask=Image.fromarray(clear.astype(np.uint8) * 255))
    return picture


def _from_lab(picture: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.applyTransform(picture, ImageCms.buildTransform(lab, srgb, "LAB", "RGB")) or picture


def _managed(picture: Image.Image, icc: bytes) -> Image.Image:
    """The colours that the profile means, in sRGB. A profile that is broken, or of other colours, is ignored."""
    if picture.mode == "LA":
        grey, alpha = picture.split()
        seen = _managed(grey, icc)
        return picture if seen is grey else Image.merge("RGBA", (*seen.split(), alpha))
    transform = _transform(icc, picture.mode) if picture.mode in ("L", "RGB", "RGBA", "CMYK") else None
    if transform is None:
        return picture
    from PIL import ImageCms

    return ImageCms.applyTransform(picture, transform) or picture


@functools.lru_cache(maxsize=32)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where it changes nothing that can be seen, which is tried, not read from its name."""
    try:
        from PIL import ImageCms

        srgb = ImageCms.createProfile("sRGB")
        out = "RGBA" if mode == "RGBA" else "RGB"
        transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(icc)), srgb, mode, out)
        if mode == "CMYK":
            return transform
        steps = np.linspace(0, 255, 256 if mode == "L" else 9).round().astype(np.uint8)
        colours = steps if mode == "L" else np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
        probe = Image.fromarray(colours[None]).convert(mode)
        seen = np.asarray((ImageCms.applyTransform(probe, transform) or probe).convert("RGB"))
        changed = np.abs(seen.astype(int) - np.asarray(probe.convert("RGB")).astype(int)).max()
        return transform if changed > _UNSEEN else None
    except Exception:  # whatever a broken profile makes of littlecms; a Pillow without it
        return None
