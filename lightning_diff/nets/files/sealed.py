"""The sum of a safetensors file, in its passport: the CRC-32 of all its bytes; the digits of the sum itself count as zeros.

A file of another make may have a sum beside it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...sums import crc32, known_sha256, read_sidecar, state_of

# In the file, the passport is a text within a text: its quotes have a backslash. Those of a text in the passport have more.
SUM = re.compile(rb'(?<!\\)\\"sum\\": \\"([0-9a-f]{8})\\"')
NO_SUM = "0" * 8
LONGEST_HEADER = 10**8  # bytes; the format allows no more


class DamagedFile(ConfigError):
    """A file is not as it was written."""

    def __init__(self, path: Path, why: str = "it is not as it was written") -> None:
        self.why, remedy = why, "take it from a copy, or give the command that made it again"
        super().__init__(f"{path}: damaged ({why}); {remedy}")


def seal(path: Path) -> None:
    """Write the sum of a file into its passport."""
    with path.open("r+b") as f:
        place = _place_of_sum(f.read(8 + int.from_bytes(f.read(8), "little")))
        assert place is not None
        start = 8 + place[0]
        found = crc32(path, (start, start + 8))
        f.seek(start)
        f.write(found.encode())


def _place_of_sum(header: bytes) -> tuple[int, str] | None:
    """Where the sum stands in a header, and the sum."""
    found = None
    for found in SUM.finditer(header):  # noqa: B007 (the last one)
        pass
    return (found.start(1), found[1].decode()) if found else None


@lru_cache(4096)
def _fits(path: str, state: tuple[int, ...]) -> bool:
    with open(path, "rb") as f:
        length = int.from_bytes(f.read(8), "little")
        place = _place_of_sum(f.read(length)) if length < min(state[0], LONGEST_HEADER) else None
    if place is not None:
        start = 8 + place[0]
        return crc32(Path(path), (start, start + 8)) == place[1]
    beside = read_sidecar(Path(path))
    return beside is None or known_sha256(Path(path)) == beside


def check_sum(path: Path) -> None:
    """Raises DamagedFile if a file is not as it was written. A file without a sum passes, and one that is not there."""
    if path.is_file() and not _fits(os.fspath(path.absolute()), state_of(path)):
        raise DamagedFile(path)


def is_whole(path: Path) -> bool:
    """Whether a file is there and as it was written."""
    try:
        check_sum(path)
    except DamagedFile:
        return False
    return path.is_file()


def metadata(passport: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a file that will be sealed."""
    return {"passport": json.dumps({**passport, "sum": NO_SUM}, sort_keys=True)}
