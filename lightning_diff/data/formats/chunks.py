"""PNG and WebP files: the chunks that make pixels. Texts, profiles and dates, however large or broken, never reach Pillow."""

from __future__ import annotations

import struct
import zlib

from .kinds import BadPicture, Stripped

_MOST_TEXT = 1 << 22  # bytes of a text or a colour profile, unpacked; what is larger is passed over
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_END = b"\0\0\0\0IEND\xaeB`\x82"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _unpacked(data: bytes) -> bytes:
    """Empty if the data is damaged, or larger than a text should be."""
    try:
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(data, _MOST_TEXT)
    except zlib.error:
        return b""
    return b"" if unpacker.unconsumed_tail else found


def _text(kind: bytes, data: bytes) -> bytes:
    """What a text chunk says behind its keyword."""
    rest = data.partition(b"\0")[2]
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _unpacked(rest[1:])
    packed, parts = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
    return (_unpacked(parts[-1]) if packed else parts[-1]) if len(parts) == 3 else b""


def _exif_in_text(text: bytes) -> bytes:
    """EXIF as ImageMagick writes it: a name, a length, and hexadecimal digits, in lines."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


def _transparency(data: bytes, depth: int, colour: int) -> tuple[bytes, tuple[int, ...]]:
    """A tRNS chunk as Pillow takes it right, and the 16-bit colour that it cannot take.

    The values of a grey of 2 or 4 bits are unpacked to 8; so must be the one that is transparent."""
    if colour == 3:
        return _chunk(b"tRNS", data[:256]), ()
    count = {0: 1, 2: 3}.get(colour, 0)
    if not count or len(data) < 2 * count:
        return b"", ()
    values = [v & ((1 << depth) - 1) for v in struct.unpack_from(f">{count}H", data)]
    if depth == 16:
        return b"", tuple(values)
    if depth in (2, 4):
        values = [v * 255 // ((1 << depth) - 1) for v in values]
    return _chunk(b"tRNS", struct.pack(f">{count}H", *values)), ()


def strip_png(data: bytes) -> Stripped:
    """Leave IHDR, PLTE, tRNS and IDAT. Frames of an animation go too: the picture that every viewer shows is left.

    An additional chunk with a wrong sum is passed over, as libpng does. gAMA is ignored: it is wrong more often than not."""
    pieces, at, depth, colour = [data[:8]], 8, data[24:25], data[25:26]
    exif = xmp = icc = b""
    key: tuple[int, ...] = ()
    ended = srgb = pixels = False
    while at + 8 <= len(data):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IDAT":
            pixels = True
            if end > len(data):
                pieces.append(_chunk(kind, data[at + 8 : len(data)]))
            else:
                pieces.append(data[at:end])
        elif kind == b"IEND":
            ended = True
            break
        elif end > len(data) or not kind.isalpha():
            break
        elif kind in (b"IHDR", b"PLTE"):
            pieces.append(data[at:end])
        elif kind in (b"tRNS", b"iCCP", b"eXIf", b"sRGB", b"iTXt", b"zTXt", b"tEXt"):
            body = data[at + 8 : end - 4]
            if kind[1:] == b"TXt" or kind == b"tEXt":
                if body.startswith(b"XML:com.adobe.xmp\0"):
                    xmp = _text(kind, body)
                elif body.startswith((b"Raw profile type exif\0", b"Raw profile type APP1\0")):
                    exif = exif or _exif_in_text(_text(kind, body))
            elif zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big"):
                if kind == b"tRNS" and depth and colour:
                    piece, key = _transparency(body, depth[0], colour[0])
                    pieces.append(piece)
                elif kind == b"iCCP":
                    icc = _unpacked(body.partition(b"\0")[2][1:])
                elif kind == b"eXIf":
                    exif = body
                elif kind == b"sRGB":
                    srgb = True
        at = end
    if not pixels:
        what = "there are no pixels in the file" if ended else "the file ends before its pixels begin"
        raise BadPicture(f"PNG: {what}", "damaged" if ended else "truncated")
    return Stripped(b"".join((*pieces, _END)), exif, xmp, b"" if srgb else icc, ended, key)


def complete_png(data: bytes) -> tuple[bytes, float]:
    """A stripped PNG whose data ends early, with its last row repeated to the full height; and the share that it lacks."""
    at, head, packed = 8, [data[:8]], []
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IDAT":
            packed.append(data[at + 8 : at + 8 + length])
        elif kind != b"IEND":
            head.append(data[at : at + 12 + length])
        at += 12 + length
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if interlaced or colour not in _CHANNELS:
        raise BadPicture("PNG: the file ends early", "truncated")
    row = 1 + (width * depth * _CHANNELS[colour] + 7) // 8
    rows = zlib.decompressobj().decompress(b"".join(packed), row * height)
    rows = rows[: len(rows) // row * row]
    missing = height - len(rows) // row
    rows += (b"\2" + bytes(row - 1)) * missing  # the filter "up", with no difference
    return b"".join((*head, _chunk(b"IDAT", zlib.compress(rows, 1)), _END)), missing / height


def strip_webp(data: bytes) -> Stripped:
    """A WebP file without the chunk that its end is missing of, if all the pixels are there."""
    size = int.from_bytes(data[4:8], "little")
    if size + 8 <= len(data):
        return Stripped(data)
    at, pieces, pixels = 12, [b"WEBP"], False
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            break
        pieces.append(data[at : at + 8 + length].ljust(8 + length + length % 2, b"\0"))
        pixels = pixels or kind in (b"VP8 ", b"VP8L", b"ANMF")
        at += 8 + length + length % 2
    if not pixels:
        raise BadPicture("WebP: the file ends early", "truncated")
    body = b"".join(pieces)
    return Stripped(b"RIFF" + struct.pack("<I", len(body)) + body, ended=False)
