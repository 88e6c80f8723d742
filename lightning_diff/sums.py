"""Sums of files: what is read is checked against a sum that was made when it was written (law 7).

A file is read through for its sum once in a process, as long as its size, its times and its number on the disk stay the same.
"""

from __future__ import annotations

import os
import re
import zlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import xxhash

from .files import sha256, write_text

READ = 1 << 18  # bytes, which stay in a core's own cache
SIDECAR = ".sha256"  # the ending of a file beside another one, in the format of the command sha256sum
ASIDE = ".damaged"


def crc32(path: Path, hole: tuple[int, int] = (0, 0)) -> str:
    """The CRC-32 of a file, in eight hexadecimal digits. The bytes of the `hole` [start, stop) count as the digit 0."""
    found, at, part = 0, 0, bytearray(READ)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(part):
            first, last = (min(max(place - at, 0), count) for place in hole)
            part[first:last] = b"0" * (last - first)
            found, at = zlib.crc32(memoryview(part)[:count], found), at + count
    return f"{found:08x}"


def state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file is written."""
    now = path.stat()
    return now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_dev


@lru_cache(4096)
def _sha256(path: str, state: tuple[int, ...]) -> str:
    return sha256(Path(path))


def known_sha256(path: Path) -> str:
    """The SHA-256 of a file; it is not computed again while the file stays the same."""
    return _sha256(os.fspath(path.absolute()), state_of(path))


def xxh3(path: Path) -> str:
    """The XXH3 of a file, in sixteen hexadecimal digits. It takes less than half the time of CRC-32."""
    found, part = xxhash.xxh3_64(), bytearray(READ)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(part):
            found.update(memoryview(part)[:count])
    return found.hexdigest()


@lru_cache(4096)
def _has_sum(path: str, state: tuple[int, ...], found: str) -> bool:
    return (crc32 if len(found) == 8 else xxh3)(Path(path)) == found


def has_sum(path: Path, found: str) -> bool:
    """Whether a file has this sum: eight digits are a CRC-32, as older sets have it, and sixteen an XXH3. It is not computed
    again while the file stays the same."""
    return _has_sum(os.fspath(path.absolute()), state_of(path), found)


def sidecar(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)


def write_sidecar(path: Path) -> None:
    """Write the sum of a file beside it: `sha256sum -c` checks it."""
    write_text(sidecar(path), f"{known_sha256(path)}  {path.name}\n")


def read_sidecar(path: Path) -> str | None:
    """The sum beside a file; None if there is none, or none that can be read."""
    with suppress(OSError):
        if found := re.match(rb"([0-9a-f]{64})  ", sidecar(path).read_bytes()[:99]):
            return found[1].decode()
    return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that it can be made again. An older one with that name is replaced."""
    place = path.with_name(path.name + ASIDE)
    with suppress(FileNotFoundError):  # another process was faster
        path.replace(place)
    return place
