"""The width and height of a picture from its header, without decoding it."""

from __future__ import annotations

import io
import struct
import warnings

from ..decode import MOST_PIXELS
from ..formats.chunks import strip_png, strip_webp
from ..formats.jpeg import strip_jpeg
from ..formats.kinds import KINDS, BadPicture, Stripped, kind_of, plugin
from ..formats.tiff import orientation_of, strip_tiff

FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG segments that say the size
TURNED = (5, 6, 7, 8)  # orientations in which width and height change places
TURNING, TEXTS = b"eXIf", (b"iTXt", b"zTXt", b"tEXt")  # chunks of a PNG that may say an orientation
STRIPPERS = {"JPEG": strip_jpeg, "PNG": strip_png, "WebP": strip_webp, "TIFF": strip_tiff}
Size = tuple[int, int]


def size_of(head: bytes) -> Size | None:
    """Width and height in pixels of the upright picture, from the first bytes of a JPEG or PNG; None if these do not say it. What
    a PNG says behind its pixels is not looked at."""
    if head.startswith(b"\xff\xd8\xff"):
        found = _of_jpeg(head)
        return found if found and found[0] * found[1] <= MOST_PIXELS else None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 33:
        width, height = struct.unpack_from(">II", head, 16)
        return (width, height) if 0 < width * height <= MOST_PIXELS and _begins_plain(head) else None
    return None


def _begins_plain(head: bytes) -> bool:
    """Whether a PNG's pixels begin in its first bytes, and no chunk before them may say that the picture is turned."""
    at = 8
    while at + 8 <= len(head):
        kind, body = head[at + 4 : at + 8], head[at + 8 : at + 8 + 21]
        if kind == b"IDAT":
            return True
        if kind == TURNING or (kind in TEXTS and body.startswith((b"XML:com.adobe.xmp", b"Raw profile type"))):
            return False
        at += 12 + int.from_bytes(head[at : at + 4], "big")
    return False


def whole_size(data: bytes) -> Size:
    """The same from the whole file, of any kind that is read. Raises BadPicture for one that is no picture, or too large."""
    kind = kind_of(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = STRIPPERS[kind](data) if kind in STRIPPERS else Stripped(data)
            picture = plugin(kind)(io.BytesIO(file.data))
    except BadPicture:
        raise
    except Exception as e:  # Pillow raises many kinds of errors for damaged files
        raise BadPicture(f"{kind}: the file is damaged") from e
    width, height = picture.size
    most = int(MOST_PIXELS * (2 if kind == "JPEG" else KINDS[kind][2]))
    if width * height > most:
        raise BadPicture(f"{width} x {height} pixels are more than {most:,}", "too large")
    exif, xmp = (said if isinstance(said := picture.info.get(name), bytes) else b"" for name in ("exif", "xmp"))
    turn = orientation_of(file.exif or exif, file.xmp or xmp)
    return (height, width) if turn in TURNED else (width, height)


def _of_jpeg(head: bytes) -> Size | None:
    """A thumbnail lies inside a segment, and is passed over with it."""
    at, turn, end = 2, 1, len(head)
    while at + 9 <= end and head[at] == 0xFF:
        marker, long = head[at + 1], head[at + 2] << 8 | head[at + 3]
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return (height, width) if turn in TURNED else (width, height)
        if marker < 0xC0 or marker in (0xD9, 0xDA) or 0xD0 <= marker <= 0xD8:
            return None
        if marker == 0xE1:
            if at + 2 + long > end or not head.startswith(b"Exif\0", at + 4):
                return None
            turn = orientation_of(head[at + 4 : at + 2 + long])
        at += 2 + long
    return None
