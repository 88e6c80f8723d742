"""What the headers and captions of a shard say of its samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from ...strings import clean_text
from ..formats.kinds import BadPicture
from ..incoming.captions import NOT_SAID, NoCaption, captions_of
from ..incoming.names import group
from ..incoming.orphans import named_once
from ..incoming.tars import BLOCK, Contents, contents_of, shortened, too_large
from ..remote.shard import RemoteShard
from ..sample import LeftOut, left_out
from .sizes import whole_size
from .walk import Members, plain_members

ROLES = {"jpg": 0, "jpeg": 0, "png": 0, "webp": 0, "txt": 1, "json": 2}
COLUMNS: dict[str, Any] = {  # 35 bytes a sample; places are in blocks of 512 bytes, sizes in bytes
    "places": np.dtype("<u4"),  # [N, 3]: of the picture, the text, the record; 0: none
    "lengths": np.dtype("<u4"),  # [N, 3]
    "sizes": np.dtype("<u2"),  # [N, 2]: width and height in pixels, at most 65535
    "sums": np.dtype("<u4"),  # [N]: CRC-32 of the captions
    "counts": np.dtype("<u2"),  # [N]: captions, at most 65535
    "remarks": np.dtype("u1"),  # [N]: bits, as in a survey
}
WIDTHS = {"places": 3, "lengths": 3, "sizes": 2, "sums": 1, "counts": 1, "remarks": 1}
PLAIN = tuple(word.encode() for word in NOT_SAID)
Sample = tuple[str, int, int, int]  # key, and the numbers of picture, text and record; -1: none


@dataclass
class Found:
    """N usable samples of a shard: their columns (COLUMNS), their keys, and what is left out."""

    columns: dict[str, np.ndarray]
    keys: list[str]
    left: list[LeftOut]


def read_shard(path: Path | RemoteShard, lines: bool = False) -> Found:
    """Read the headers and captions of a shard. Each line of a text is a caption with `lines`."""
    source, left = str(path), list[LeftOut]()
    members = _plain(path)
    samples = _plain_samples(members.names) if members else None
    if samples is None:
        contents = Contents(members.names, members.spans, []) if members else contents_of(path)  # type: ignore[arg-type]
        members = members or Members(contents.names, contents.spans)
        grouped = group(contents.names)
        left, others = named_once(contents, grouped.left)
        left += [left_out(source, contents.names[i], why, contents.spans[i][0]) for i, why in others]
        samples = grouped.samples
    assert members is not None
    rows, keys = list[tuple[int, ...]](), list[str]()
    with path.open("rb") if samples else open(os.devnull, "rb") as raw:
        for sample in samples:
            row = _row(raw.fileno(), sample, members, source, lines)
            if isinstance(row, LeftOut):
                left.append(row)
            else:
                rows.append(row)
                keys.append(sample[0])
    return Found(_columns(rows), keys, shortened(left))


def _plain(path: Path | RemoteShard) -> Members | None:
    try:
        with path.open("rb") as raw:
            found = plain_members(raw.fileno(), os.fstat(raw.fileno()).st_size)
            return found if found and found.names else None
    except OSError:
        return None


def _plain_samples(names: Sequence[str]) -> list[Sample] | None:
    """The samples as `group` finds them, where each name is KEY.ENDING, and each key has one picture and a caption; else None."""
    found: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        key, _, ending = name.rpartition(".")
        role = ROLES.get(ending)
        if role is None or "." in key:
            return None
        mine = found.get(key)
        if mine is None:
            found[key] = mine = [-1, -1, -1]
        if mine[role] >= 0:
            return None
        mine[role] = i
    samples = [(key, a, b, c) for key, (a, b, c) in found.items()]
    if any(a < 0 or (b < 0 and c < 0) for _, a, b, c in samples):
        return None
    return sorted(samples, key=lambda sample: sample[1])


def _row(handle: int, sample: Sample, members: Members, source: str, lines: bool) -> tuple[int, ...] | LeftOut:
    """A row of all columns, or why there is none."""
    key, picture, text, record = sample
    spans = members.spans
    at, long = spans[picture]
    place_1, long_1 = spans[text] if text >= 0 else (0, 0)
    place_2, long_2 = spans[record] if record >= 0 else (0, 0)
    if why := too_large(long, long_1, long_2):
        return left_out(source, members.names[picture], why, at)
    said = members.texts.get(text)
    plain = said.strip() if said is not None and not lines else b""
    if (
        plain
        and plain.isascii()
        and plain[0] not in b"[{"
        and plain.decode().isprintable()
        and plain.lower() not in PLAIN
    ):
        sums, count, remarks = crc32(plain), 1, 0
    else:
        try:
            captions, remarks = captions_of(
                said if said is not None else _member(handle, text, place_1, long_1),
                _member(handle, record, place_2, long_2),
                lines,
            )
        except NoCaption as e:
            return left_out(source, key, str(e), at)
        sums, count = sum_of(captions), min(len(captions), 65535)
    size = members.pixels.get(picture)
    if size is None:
        try:
            size = whole_size(os.pread(handle, long, at))
        except BadPicture as e:
            return left_out(source, members.names[picture], e.reason, at, e.remedy)
    width, height = size
    return (
        *(at // BLOCK, place_1 // BLOCK, place_2 // BLOCK, long, long_1, long_2),
        *(width if width < 65536 else 65535, height if height < 65536 else 65535, sums, count, remarks),
    )


def sum_of(captions: Sequence[str]) -> int:
    """The CRC-32 of a sample's captions."""
    return crc32("\0".join(captions).encode())


def _member(handle: int, number: int, place: int, long: int) -> bytes | None:
    return os.pread(handle, long, place) if number >= 0 else None


def _columns(rows: Sequence[tuple[int, ...]]) -> dict[str, np.ndarray]:
    table = np.asarray(rows, np.int64).reshape(len(rows), sum(WIDTHS.values()))
    found, first = {}, 0
    for name, kind in COLUMNS.items():
        part = table[:, first : first + WIDTHS[name]].astype(kind)
        found[name] = part if WIDTHS[name] > 1 else part[:, 0]
        first += WIDTHS[name]
    return found


def key_bytes(keys: Sequence[str]) -> tuple[np.ndarray, bytes]:
    """(where each key begins and the last ends, uint32 [N + 1]; all keys as UTF-8)."""
    parts = [clean_text(key).encode() for key in keys]
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype("<u4"), b"".join(parts)
