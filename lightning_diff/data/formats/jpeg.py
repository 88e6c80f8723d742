"""JPEG files: the segments that make pixels, and how much of a file that ends early is missing."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from .kinds import BadPicture, Stripped

END = b"\xff\xd9"
GREY = (127, 128)  # what a decoder gives for data that is not there
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF})  # Huffman and quantisation tables, restart interval, …
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})  # markers without a segment
_FILL = bytes(7 + i * 73 % 241 for i in range(2048))  # looks like a picture's data


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """Marker, start and end of each segment before the pixels; the last is the start of the scan. Junk is passed over."""
    found, at = [], 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            raise BadPicture("JPEG: the file ends before its pixels begin", "truncated")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker == 0xD9:
            raise BadPicture("JPEG: there are no pixels in the file")
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            found.append((marker, at, end))
            if marker == 0xDA:
                return found
            at = max(end, at + 4)


def strip_jpeg(data: bytes) -> Stripped:
    """Leave only what makes pixels: tables, frame, scans, and the two marks that say which colours are meant."""
    pieces, exif, xmp = [b"\xff\xd8"], b"", b""
    profile: dict[int, bytes] = {}
    for marker, at, end in _segments(data):
        jfif = marker == 0xE0 and end - at >= 18 and data.startswith(b"JFIF\0", at + 4)
        adobe = marker == 0xEE and end - at >= 16 and data.startswith(b"Adobe", at + 4)
        if marker in _TABLES or marker in _FRAMES or jfif or adobe:
            pieces.append(data[at:end])
        elif marker == 0xE1 and data.startswith(b"Exif\0", at + 4):
            exif = exif or data[at + 4 : end]
        elif marker == 0xE1 and data.startswith(b"http://ns.adobe.com/xap/1.0/\0", at + 4):
            xmp = xmp or data[at + 4 : end]
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", at + 4) and end - at > 18:
            profile[data[at + 16]] = data[at + 18 : end]  # by its number: parts may come in any order
    body = data[at:]
    ended = body.rfind(END) >= 0
    if not ended:  # a copy that stopped is often filled up with zeros; what was not read is grey
        body = body.rstrip(b"\0") + END
    icc = b"".join(profile[i] for i in sorted(profile))
    return Stripped(b"".join((*pieces, body)), exif, xmp, icc, ended)


def frame_of(data: bytes) -> tuple[bool, float, list[int]]:
    """Of a stripped file: is it progressive, the samples of all components per pixel, and the components' numbers."""
    for marker, at, end in _segments(data):
        if marker in _FRAMES:
            parts = [data[i : i + 3] for i in range(at + 10, end - 2, 3)]
            areas = [(p[1] >> 4) * (p[1] & 15) for p in parts]
            most = max((p[1] >> 4 for p in parts), default=1) * max((p[1] & 15 for p in parts), default=1)
            return marker in (0xC2, 0xC6, 0xCA, 0xCE), sum(areas) / max(most, 1), [p[0] for p in parts]
    raise BadPicture("JPEG: there are no pixels in the file")


def filled_up(data: bytes) -> bytes:
    """The same stripped file with other data behind the last that it has: pixels that change are missing in it."""
    return data[: data.rfind(END)] + _FILL + END


def missing_share(picture: Image.Image, other: Image.Image, stored_height: int) -> float:
    """Share of the pixels that a file lacks, from its picture and that of the file when it is filled up.

    Blocks come in rows of 16 stored pixels; the first block that changes is where the file ends."""
    pixels, others = np.asarray(picture), np.asarray(other)
    changed = pixels != others
    if changed.ndim == 3:
        changed = changed.any(-1)
    rows = changed.any(1)
    if not rows.any():
        return 0.0
    height, width = changed.shape
    band = max(1, min(16, 16 * height // stored_height))
    first = int(rows.argmax())
    left = int(changed[first : first + max(1, band // 2)].any(0).argmax())
    return min(1.0, (max(0, height - first - band) * width + band * (width - left)) / (height * width))


def scans_are_there(data: bytes, components: list[int], progressive: bool, share: float, most: float) -> bool:
    """Whether the last scan that a cut file has is the picture's last, and lacks at most `most` of its pixels.

    Of a progressive JPEG it may lack more if it only refines the last bit of values that other scans gave."""
    scans = []
    for match in re.finditer(b"\xff\xda", data):
        at = match.end() + 2
        count = data[at] if at < len(data) else 0
        end = at + 1 + 2 * count
        if count and end + 3 <= len(data):
            spectrum = (data[end], data[end + 1], data[end + 2] & 15) if progressive else (0, 63, 0)
            scans.append((data[at + 1 : end : 2], *spectrum))

    def missing_bits(of: list[tuple[bytes, int, int, int]]) -> int:
        known = {c: [99] * 64 for c in components}
        for numbers, first, last, low in of:
            for c in numbers:
                known.setdefault(c, [99] * 64)[first : last + 1] = [low] * (last + 1 - first)
        return max((max(values[:64]) for values in known.values()), default=99)

    return missing_bits(scans) == 0 and (share <= most or missing_bits(scans[:-1]) <= 1)


def ends_in_grey(picture: Image.Image) -> bool:
    """Whether the last row is GREY. Such a file may be cut, and closed again."""
    width, height = picture.size
    corner = picture.getpixel((width - 1, height - 1))
    if not all(v in GREY for v in (corner if isinstance(corner, tuple) else (corner,))):
        return False
    row = picture.crop((0, height - 1, width, height)).getextrema()
    flat = row if isinstance(row[0], tuple) else (row,)
    return all(low >= GREY[0] and high <= GREY[1] for low, high in flat)  # type: ignore[misc]
