"""A fast walk over the headers of a plain tar. Whatever is not plain is left to incoming/tars.py, which passes over damage.

A plain tar holds regular files alone, with short names and right sums, and ends in zeros. That is what img2dataset and
webdataset write. The same tar gives the same members here and there.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

import numpy as np

from ..incoming.names import SYSTEM
from .sizes import Size, size_of

BLOCK = 512
CHUNK = 8192  # bytes that are read at a time: a header, and the first bytes of what follows
LONGEST_END = 1 << 20  # bytes of zeros
PICTURES = (b".jpg", b".jpeg", b".png")  # endings whose first bytes are looked at on the way
MARKS = re.compile(rb"(?:\d+ (?:mtime|atime|ctime)=[\d.-]+\n)+")  # a PAX header that names no member
ODD = re.compile(
    rf"(?:^|/)(?:[./]|$|{'|'.join(map(re.escape, SYSTEM))})", re.MULTILINE
)  # clean() or is_hidden() would act


@dataclass
class Members:
    """The regular members of a shard: names, offsets and sizes in bytes. `pixels`: width and height of those whose first bytes
    say them, by number. `texts`: the contents of .txt members that lay within what was read."""

    names: list[str]
    spans: list[tuple[int, int]]
    pixels: dict[int, Size] = field(default_factory=dict)
    texts: dict[int, bytes] = field(default_factory=dict)


def plain_members(handle: int, size: int) -> Members | None:
    """The members of the tar in an open file of `size` bytes; None if it is not plain."""
    headers: list[bytes] = []
    names: list[bytes] = []
    spans: list[tuple[int, int]] = []
    pixels: dict[int, Size] = {}
    texts: dict[int, bytes] = {}
    at = start = have = 0
    chunk = b""
    while at < size:
        place = at - start
        if place + BLOCK > have:
            chunk, start, place = os.pread(handle, CHUNK, at), at, 0
            have = len(chunk)
            if have < BLOCK:
                return None
        header = chunk[place : place + BLOCK]
        if not header[0]:
            break
        try:
            long = int(header[124:135], 8)
        except ValueError:
            return None
        data = at + BLOCK
        at = data + (long + BLOCK - 1) // BLOCK * BLOCK
        kind = header[156]
        if long < 0 or data + long > size or header[135] not in b"\0 ":  # a size may have twelve digits
            return None
        headers.append(header)
        if kind == 0x78:  # PAX
            if long > BLOCK or not MARKS.fullmatch(os.pread(handle, long, data)):
                return None
            continue
        if kind not in (0x30, 0):
            return None
        name = header[:100].rstrip(b"\0")
        begin = place + BLOCK
        if name.endswith(PICTURES):
            if begin + min(long, 1024) > have:  # the header is known, so that what follows it is read in its place
                chunk, start, begin = os.pread(handle, CHUNK, data), data, 0
                have = len(chunk)
            found = size_of(chunk[begin : begin + min(long, 1024)]) or size_of(chunk[begin : begin + min(long, CHUNK)])
            if found:
                pixels[len(names)] = found
        elif name.endswith(b".txt") and begin + long <= have:
            texts[len(names)] = chunk[begin : begin + long]
        names.append(name)
        spans.append((data, long))
    said = _names(names)
    if said is None or not _sums_are_right(headers) or not _ends(handle, at, size):
        return None
    return Members(said, spans, pixels, texts)


def _names(names: list[bytes]) -> list[str] | None:
    """The names; None if one is not as it should be in a set, or comes twice."""
    joined = b"\n".join(names)
    if not joined.isascii() or b"\0" in joined or joined.count(b"\n") != max(len(names) - 1, 0):
        return None
    text = joined.decode("ascii")
    if ODD.search(text) or len(set(names)) < len(names):
        return None
    return text.split("\n") if names else []


def _sums_are_right(headers: list[bytes]) -> bool:
    """Whether each header has its sum, six octal digits, and no further part of a name."""
    for first in range(0, len(headers), 2048):
        some = headers[first : first + 2048]
        table = np.frombuffer(b"".join(some), np.uint8).reshape(-1, BLOCK)
        digits = table[:, 148:154].astype(np.int64) - ord("0")
        found = table.sum(axis=1, dtype=np.int64) - table[:, 148:156].sum(axis=1, dtype=np.int64) + 8 * ord(" ")
        if ((digits < 0) | (digits > 7)).any() or (digits @ 8 ** np.arange(5, -1, -1) != found).any():
            return False
        if table[:, 345].any():
            return False
    return True


def _ends(handle: int, at: int, size: int) -> bool:
    """Whether nothing but zeros follows."""
    rest = size - at
    return rest <= LONGEST_END and not os.pread(handle, max(rest, 0), at).strip(b"\0") if rest > 0 else rest == 0
