"""The file that holds what is known of a shard's samples: columns that are memory-mapped, and the keys apart, behind them.

It begins with a mark, the length of a description (JSON) and its CRC-32. The description says the name of the file, the number
of samples, what is left out, and a digest of all that follows, which is checked when a process first reads a sample.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from ...config.errors import ConfigError
from ...files import NO_FILE, whole_file
from ...strings import clean_text
from ..remote.shard import RemoteShard
from ..sample import LeftOut
from .read import COLUMNS, WIDTHS, Found, key_bytes

log = logging.getLogger(__name__)
VERSION = 2  # of the way a shard is read; a sidecar of another version is made anew
START = struct.Struct("<8sII")
MARK = b"LDHEADS\0"
LOST = (*NO_FILE, ValueError, KeyError, TypeError, struct.error, RecursionError)


@dataclass(frozen=True)
class Described:
    """What a sidecar says without its columns: number of samples, digest of the rest, what is left out, where the rest begins."""

    count: int
    digest: str
    left: list[LeftOut]
    start: int


def sidecar_places(shards: Sequence[Path | RemoteShard], cache: Path, lines: bool) -> list[Path]:
    """Where the sidecars of shards are stored: by name, size and time (of a remote one, its tag), not by the folder. Where two
    are equal in these, by the path too."""
    found = [_place(shard, cache, lines) for shard in shards]
    count = Counter(found)
    return [
        place if count[place] == 1 else _place(shard, cache, lines, os.fsencode(str(shard)).hex())
        for place, shard in zip(found, shards, strict=True)
    ]


def _place(shard: Path | RemoteShard, cache: Path, lines: bool, *more: str) -> Path:
    try:
        now = shard.stat()
        state = [now.st_size, now.st_mtime_ns]
    except OSError:
        state = [0, 0]
    if isinstance(shard, Path) and not os.access(shard, os.R_OK):
        state += [-1]  # the right to read it changes neither its size nor its time
    made_by = [VERSION, os.fsencode(shard.name).hex(), *state, lines, *more]
    name = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:24]
    return cache / "headers" / name[:2] / f"{name}.heads"


def write_sidecar(place: Path, found: Found, shard: Path | RemoteShard) -> None:
    ends, keys = key_bytes(found.keys)
    body = b"".join([*(found.columns[name].tobytes() for name in COLUMNS), ends.tobytes(), keys])
    said = json.dumps(
        {
            "of": place.name,
            "shard": clean_text(str(shard)),
            "count": len(found.keys),
            "digest": hashlib.sha256(body).hexdigest()[:32],
            "left": [asdict(one) for one in found.left],
        }
    ).encode()
    said += b" " * (-(START.size + len(said)) % 64)
    with whole_file(place) as partial:
        partial.write_bytes(START.pack(MARK, len(said), crc32(said)) + said + body)


def described(place: Path, shard: Path | RemoteShard) -> Described | None:
    """What the sidecar of a shard says, with the path that the shard has now; None if it is not there. A damaged one is
    removed."""
    try:
        with place.open("rb") as file:
            mark, long, crc = START.unpack(file.read(START.size))
            said = file.read(long) if mark == MARK else b""
        if not said or crc32(said) != crc:
            raise ValueError("its beginning is not as it was written")
        fields = json.loads(said)
        if fields["of"] != place.name:
            raise ValueError(f"it is {fields['of']}")
        now, left = clean_text(str(shard)), [LeftOut(**one) for one in fields["left"]]
        left = [replace(one, source=now) if one.source == fields["shard"] else one for one in left]
        return Described(fields["count"], fields["digest"], left, START.size + long)
    except FileNotFoundError:
        return None
    except LOST as e:
        log.warning("%s: damaged (%s); it is made again", place, e)
        place.unlink(missing_ok=True)
        return None


class Sidecar:
    """The memory-mapped columns of a shard (read.COLUMNS) and its keys. Raises ConfigError if they are not as they were written;
    `checked` says that they need not be compared again."""

    def __init__(self, place: Path, said: Described, checked: bool = False) -> None:
        self.count = said.count
        try:
            with place.open("rb") as file:
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            whole = checked or hashlib.sha256(memoryview(self.map)[said.start :]).hexdigest()[:32] == said.digest
        except (*NO_FILE, ValueError):
            whole = False
        if not whole:
            place.unlink(missing_ok=True)
            raise ConfigError(f"{place}: damaged; give the command again, and this shard is read again")
        at, columns = said.start, dict[str, np.ndarray]()
        for name, kind in COLUMNS.items():
            some = np.frombuffer(self.map, kind, self.count * WIDTHS[name], at)
            columns[name] = some.reshape(-1, WIDTHS[name]) if WIDTHS[name] > 1 else some
            at += some.nbytes
        self.columns = columns
        self.ends = np.frombuffer(self.map, "<u4", self.count + 1, at)
        self.keys_at = at + self.ends.nbytes

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def key(self, row: int) -> str:
        first, last = self.keys_at + int(self.ends[row]), self.keys_at + int(self.ends[row + 1])
        return self.map[first:last].decode()
