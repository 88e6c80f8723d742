"""A segment of a cache: a folder of arrays of N rows, complete, whose rows are checked against their sums.

Rows of a small segment are checked when it is opened, those of a large one when they are first read.
"""

from __future__ import annotations

import io
import json
import logging
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from ...config.errors import ConfigError
from ...files import DAMAGED, NO_FILE, whole_file, write_text
from ...sums import state_of

log = logging.getLogger(__name__)

Segment = dict[str, np.ndarray]  # KEYS, SUMS, and the arrays

SMALL = 2**22  # bytes
KEYS = "keys"  # bytes [N]; empty for a row that was damaged
SUMS = "sums"  # uint64 [N, arrays]: the XXH3 of each row of each array, in the order of their names; older ones uint32, CRC-32
SHAPES = "shapes.json"  # of all arrays, and the CRC-32 of the arrays KEYS and SUMS
WHOLE = "crc32"  # their entry in it
BAD = "bad_rows"  # the numbers of rows that were found damaged while they were read, a line each
CHECKED = 2**30  # bytes of a segment whose rows are checked when it is opened
LOST = (*DAMAGED, *NO_FILE)  # what is raised for what is not whole


def opened(folder: Path) -> Segment:
    """The arrays of a segment. Small ones are read, because each open file counts; the others are memory-mapped. A row that is
    damaged has no key. Raises one of LOST if the segment is not whole."""
    arrays = {
        p.stem: np.load(p, mmap_mode=None if p.stat().st_size < SMALL else "r", allow_pickle=False)
        for p in sorted(folder.glob("*.npy"))
    }
    said = json.loads((folder / SHAPES).read_text("utf-8"))
    whole = said.pop(WHOLE, {})
    if _shapes(arrays) != said or any(_sum(arrays[name]) != found for name, found in whole.items()):
        raise ValueError("its arrays are not those that were written")
    arrays[KEYS] = np.array(arrays[KEYS])
    bad = _bad_rows(folder, tuple((p.name, state_of(p)) for p in sorted(folder.iterdir())))
    arrays[KEYS][list(bad)] = b""
    if len(bad) and not arrays[KEYS].astype(bool).any():
        raise ValueError("all of its rows are damaged")
    return arrays


@lru_cache(256)
def _bad_rows(folder: Path, state: tuple[object, ...]) -> tuple[int, ...]:
    """The numbers of the rows that are damaged, as far as that is known."""
    arrays = {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in sorted(folder.glob("*.npy"))}
    count = len(arrays[KEYS])
    bad = np.zeros(count, bool)
    if (folder / BAD).is_file():
        numbers = [int(line) for line in (folder / BAD).read_bytes().split() if line.isdigit()]
        bad[[i for i in numbers if i < count]] = True
    if SUMS in arrays and _size(arrays) <= CHECKED:
        for column, name in enumerate(summed(arrays)):
            bad |= row_sums(arrays[name], arrays[SUMS].dtype) != arrays[SUMS][:, column]
    found = tuple(np.flatnonzero(bad & (arrays[KEYS] != b"")).tolist())
    if found:
        log.warning("%s: %s of its rows are damaged; they are computed again where they are needed", folder, len(found))
    return found


def forget_damaged(folder: Path) -> None:
    """Write down that the damaged rows of a segment are none. Called while no other process uses it. Raises one of LOST."""
    before = np.load(folder / f"{KEYS}.npy", allow_pickle=False)
    arrays = opened(folder)
    if not np.array_equal(before, arrays[KEYS]):
        np.save(data := io.BytesIO(), arrays[KEYS])  # written to a file, numpy hides why it cannot write
        with whole_file(folder / f"{KEYS}.npy") as partial:
            partial.write_bytes(data.getvalue())
        write_text(folder / SHAPES, description(arrays))
        (folder / BAD).unlink(missing_ok=True)


def description(arrays: Segment) -> str:
    """The text of SHAPES."""
    return json.dumps({**_shapes(arrays), WHOLE: {name: _sum(arrays[name]) for name in (KEYS, SUMS) if name in arrays}})


def summed(arrays: Segment) -> list[str]:
    """The names of the arrays whose rows have sums."""
    return sorted(name for name in arrays if name not in (KEYS, SUMS))


def row_sums(rows: np.ndarray, kind: Any = np.uint64) -> np.ndarray:
    """The sum of each row [N]: of the kind uint64 its XXH3, which takes an eighth of the time of uint32's CRC-32."""
    if not rows.size:
        return np.zeros(len(rows), kind)
    some, sum_of = _bytes(rows), xxhash.xxh3_64_intdigest if kind == np.uint64 else zlib.crc32
    width = len(some) // len(rows)
    return np.array([sum_of(some[i : i + width]) for i in range(0, len(some), width)], kind)


def _sum(array: np.ndarray) -> int:
    return zlib.crc32(_bytes(array))


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).data.cast("B") if array.size else memoryview(b"")


def _shapes(arrays: Segment) -> dict[str, list[int]]:
    return {name: list(array.shape) for name, array in arrays.items()}


def _size(arrays: Segment) -> int:
    return sum(a.nbytes for a in arrays.values())


def checks_of(parts: Sequence[Segment], name: str) -> list[Check | None]:
    """For each segment: how rows of an array are checked when they are first read; None if they are checked already."""
    large = [SUMS in part and _size(part) > CHECKED and isinstance(part[name], np.memmap) for part in parts]
    return [Check(part, name) if checked else None for part, checked in zip(parts, large, strict=True)]


class Check:
    """Checks the rows of a memory-mapped array against their sums, each once. A damaged row is noted in the segment's folder, so
    that the same command computes it again."""

    def __init__(self, segment: Segment, name: str) -> None:
        self.file = Path(segment[name].filename)  # type: ignore[attr-defined]
        self.sums = segment[SUMS][:, summed(segment).index(name)]
        self.done = np.zeros(len(self.sums), bool)

    def __call__(self, places: np.ndarray, rows: np.ndarray) -> None:
        """Check rows [B, ...], read from these places [B]. Raises ConfigError."""
        new = ~self.done[places]
        bad = places[new][row_sums(rows[new], self.sums.dtype) != self.sums[places[new]]]
        if len(bad):
            with suppress(OSError), (self.file.parent / BAD).open("a") as file:
                file.write("".join(f"{i}\n" for i in bad))
            raise ConfigError(f"{self.file}: {len(bad)} of its rows are damaged; the same command computes them again")
        self.done[places] = True
