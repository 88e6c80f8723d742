"""Builders of pictures' files, byte by byte where a library would not write them so."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

WHITE, RED, GREY = (255, 255, 255), (200, 30, 40), (128, 128, 128)
Turn = Image.Transpose
TURNED = {2: Turn.FLIP_LEFT_RIGHT, 3: Turn.ROTATE_180, 4: Turn.FLIP_TOP_BOTTOM, 5: Turn.TRANSPOSE}
TURNED |= {6: Turn.ROTATE_90, 7: Turn.TRANSVERSE, 8: Turn.ROTATE_270}

BASE = Image.new("RGB", (64, 48), RED)
BASE.paste((20, 40, 200), (32, 0, 64, 48))
BASE.paste(WHITE, (0, 0, 8, 8))  # the corner that must be seen at the upper left
LYING = BASE.transpose(Turn.ROTATE_90)


def enc(picture: Image.Image, form: str, **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **more)
    return out.getvalue()


def photo(width: int, height: int) -> Image.Image:
    """Smooth, with edges: as a photograph is."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    picture = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    picture.paste((250, 240, 10), (width // 5, height // 3, width // 2, height // 2))
    return picture


def noise_ratio(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio, in dB."""
    error = np.square(np.asarray(one, float) - np.asarray(other, float)).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def one(mode: str, colour: object, side: int = 16) -> Image.Image:
    return Image.new(mode, (side, side), colour)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bad_sum(kind: bytes, data: bytes) -> bytes:
    return chunk(kind, data)[:-1] + bytes([chunk(kind, data)[-1] ^ 1])


def raw_png(depth: int, colour: int, pixel: bytes, extra: bytes = b"") -> bytes:
    """A PNG of 16 x 16 pixels. `pixel` is a row of them, or one that is repeated."""
    row = b"\0" + (pixel * 16)[: depth * {0: 1, 2: 3, 4: 2, 6: 4}[colour] * 2]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(row * 16)) + chunk(b"IEND", b"")


def before(data: bytes, piece: bytes, kind: bytes = b"IDAT") -> bytes:
    at = data.index(kind) - 4
    return data[:at] + piece + data[at:]


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 255, marker, len(data) + 2) + data


def put(data: bytes, *pieces: bytes) -> bytes:
    return data[:2] + b"".join(pieces) + data[2:]


def exif(orientation: int) -> bytes:
    made = Image.Exif()
    made[0x0112] = orientation
    return made.tobytes()


def tags(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF segment of these tags: number, type, count and value."""
    at, table, tail = 8 + 2 + 12 * len(entries) + 4, struct.pack(">H", len(entries)), b""
    for number, form, count, value in entries:
        if len(value) <= 4:
            table += struct.pack(">HHI", number, form, count) + value.ljust(4, b"\0")
        else:
            table += struct.pack(">HHII", number, form, count, at + len(tail))
            tail += value
    return segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + table + bytes(4) + tail)


PNG, JPEG, LYING_JPEG, LYING_PNG = (
    enc(BASE, "PNG"),
    enc(BASE, "JPEG", quality=95),
    enc(LYING, "JPEG", quality=95),
    enc(LYING, "PNG"),
)
