"""Tables of tags, as EXIF and TIFF hold them. Nothing in them is trusted: what makes no sense is passed over."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .kinds import Stripped, camera_raw

ORIENTATION = 0x0112
ICC = 0x8773
XMP = 0x02BC

# How a number of a type is unpacked, and its size in bytes. Texts and unknown bytes are no numbers.
_NUMBERS = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 5: ("II", 8), 6: ("b", 1), 8: ("h", 2), 9: ("i", 4), 10: ("ii", 8)}
_NUMBERS |= {11: ("f", 4), 12: ("d", 8)}

# The tags that say where pixels lie and what they mean. Sizes in inches, names, dates and places are not among them.
_PIXEL_TAGS = {
    254,
    255,
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    277,
    278,
    279,
    280,
    281,
    284,
    292,
    293,
    317,
    320,
    322,
    323,
    324,
    325,
    332,
} | {334, 336, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 50674, ICC}
_RAW_TAGS = {50706, 33421, 33422}  # DNG's version, and the pattern of colours on a sensor


@dataclass(frozen=True)
class Tag:
    number: int
    type: int
    count: int
    at: int  # where its 12 bytes lie


def _order(block: bytes) -> str:
    """The byte order of a block, as struct writes it; empty if it is no block of tags."""
    return {b"II": "<", b"MM": ">"}.get(block[:2], "")


def tags_of(block: bytes) -> Iterator[Tag]:
    """The tags of the first table of a TIFF or EXIF block, as far as they lie inside it."""
    order = _order(block)
    if not order or len(block) < 10:
        return
    start = struct.unpack_from(order + "I", block, 4)[0]
    if start + 2 > len(block):
        return
    count = struct.unpack_from(order + "H", block, start)[0]
    for at in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        number, form, length = struct.unpack_from(order + "HHI", block, at)
        yield Tag(number, form, length, at)


def number_of(block: bytes, tag: Tag) -> float | None:
    """The first number of a tag; None if it holds none."""
    if tag.type not in _NUMBERS or not tag.count:
        return None
    order, (form, size) = _order(block), _NUMBERS[tag.type]
    at = tag.at + 8
    if size * tag.count > 4:
        at = struct.unpack_from(order + "I", block, at)[0]
    if at + size > len(block):
        return None
    numbers = struct.unpack_from(order + form, block, at)
    if len(numbers) == 2:
        return numbers[0] / numbers[1] if numbers[1] else None
    return numbers[0]


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """How a picture must be turned, 1 to 8, by its EXIF block or, where that says nothing, by its XMP text."""
    while exif.startswith(b"Exif\0"):
        exif = exif[6:]
    for tag in tags_of(exif):
        if tag.number == ORIENTATION:
            found = number_of(exif, tag)
            if found in (1, 2, 3, 4, 5, 6, 7, 8):
                return int(found)
    said = re.search(rb"tiff:Orientation(?:\s*=\s*[\"']|\s*>)\s*([1-8])\s*[\"'<]", xmp) if xmp else None
    return int(said[1]) if said else 1


def strip_tiff(data: bytes) -> Stripped:
    """Leave only the tags of a TIFF file that make pixels. Raises BadPicture for a camera's raw file."""
    if data[2:4] in (b"+\0", b"\0+"):  # BigTIFF: it is left as it is
        return Stripped(data)
    order, tags = _order(data), list(tags_of(data))
    if not tags:
        return Stripped(data)
    kind = next((number_of(data, t) for t in tags if t.number == 254), None)
    if any(t.number in _RAW_TAGS for t in tags) or (kind == 1 and any(t.number == 330 for t in tags)):
        raise camera_raw()
    kept = [t for t in tags if t.number in _PIXEL_TAGS]
    start = (
        tags[0].at - 2
    )  # the shorter table is written over the old one; no other follows: the first picture is the one
    table = struct.pack(order + "H", len(kept)) + b"".join(data[t.at : t.at + 12] for t in kept) + bytes(4)
    return Stripped(data[:start] + table + data[start + len(table) :], exif=data)
