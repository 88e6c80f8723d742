"""A cache of arrays on the disk, whose rows are found by the content that they were computed from.

A store is the folder of one manifest, which says what makes a row out of its content. A row's key is a digest of that
content. A set asks for the rows of its keys: those that the store has are used where they lie, only the others are computed,
and they become a new segment of the store. So a sample more costs one row, in any set and any order, and no row is stored
for each set. A segment is a folder of arrays of equal length, complete and never changed.

Rows are computed in blocks, one file for each block. So processes share the work through the file system, a killed process
loses only its current block, and the arrays do not depend on which process computed which block.

A row's content must decide its bits: `compute` must give the same for any company of other rows.

Each row has a sum (CRC-32), made when it was written. Rows of a small store are checked when it is opened; those of a large one
when they are first read. A row that does not fit its sum is computed again, as if it were not there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ...config.errors import ConfigError
from ...files import reserve, whole_file, whole_folder, write_text
from ...locks import alone, in_use, shared
from ..shards import digest
from .rows import Rows
from .segments import (
    KEYS,
    LOST,
    SHAPES,
    SUMS,
    Segment,
    checks_of,
    description,
    forget_damaged,
    opened,
    row_sums,
    summed,
)

log = logging.getLogger(__name__)

Compute = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # numbers of B samples -> {name: B rows}
Watch = Callable[
    [Iterator[int], int], Iterable[int]
]  # shows the progress: (blocks, number of blocks) -> the same blocks

BLOCK = 256  # rows


def cached_arrays(
    root: Path,
    manifest: Mapping[str, Any],
    keys: np.ndarray,
    compute: Compute,
    watch: Watch = lambda work, total: work,
    share: tuple[int, int] = (0, 1),
) -> dict[str, Rows]:
    """A row of each array for each key, memory-mapped. `keys` is uint8 [N, 16] or bytes [N]. Rows that are missing are computed,
    together with other processes that want the same. Equal keys are computed once. `share` is (number of this process, number
    of processes); it decides where this process begins. Raises ConfigError if rows are damaged that cannot be computed now."""
    store, keys = root / digest(manifest), _flat(keys)
    store.mkdir(parents=True, exist_ok=True)
    with in_use(store / "lock", lambda: _tidy(store, manifest, keys)):
        segments = _segments(store)
        where = _where(segments, keys)
        if len(rows := _missing(where, keys)):
            _add(store, keys, rows, compute, watch, share)
            segments = _segments(store)
            where = _where(segments, keys)
    if (where < 0).any():
        raise ConfigError(f"{store}: a part of it is damaged; delete the folder to compute it again")
    used = np.unique(where[:, 0])
    where[:, 0] = np.searchsorted(used, where[:, 0])
    parts = [segments[i] for i in used]
    names = summed(parts[0])
    return {name: Rows([part[name] for part in parts], where, checks_of(parts, name)) for name in names}


def missing_rows(root: Path, manifest: Mapping[str, Any], keys: np.ndarray) -> int:
    """The number of rows that would have to be computed."""
    keys = _flat(keys)
    return len(_missing(_where(_segments(root / digest(manifest)), keys), keys))


def _flat(keys: np.ndarray) -> np.ndarray:
    """Keys as bytes [N]."""
    if keys.dtype == np.uint8:
        keys = np.ascontiguousarray(keys).view(f"S{keys.shape[1]}")[:, 0]
    return keys


def _name(keys: np.ndarray) -> str:
    """The name of the segment with these keys."""
    return hashlib.sha256(np.ascontiguousarray(keys).tobytes()).hexdigest()[:12]


def _blocks(store: Path, name: str) -> Path:
    """The folder for the blocks of a segment that is being computed."""
    return store / f"{name}.blocks"


def _segments(store: Path) -> list[Segment]:
    """The segments of a store. One that is not whole is passed over."""
    found = []
    for folder in _folders(store):
        try:
            found.append(opened(folder))
        except LOST as e:
            log.warning("%s: damaged (%s); its rows are passed over", folder, e)
    return found


def _folders(store: Path) -> list[Path]:
    return sorted(p for p in store.glob("*") if p.is_dir() and "." not in p.name)


def _where(segments: Sequence[Segment], keys: np.ndarray) -> np.ndarray:
    """int64 [N, 2]: the segment and the row in it of each key; -1 for a key that no segment has."""
    where = np.full((len(keys), 2), -1, np.int64)
    for number, segment in enumerate(segments):
        order = np.argsort(segment[KEYS], kind="stable")
        have = segment[KEYS][order]
        at = np.minimum(np.searchsorted(have, keys), len(have) - 1)
        new = (have[at] == keys) & (where[:, 0] < 0)
        where[new, 0], where[new, 1] = number, order[at[new]]
    return where


def _missing(where: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The numbers of the samples whose rows must be computed: the first one of each key that no segment has."""
    rows = np.flatnonzero(where[:, 0] < 0)
    return rows[np.sort(np.unique(keys[rows], return_index=True)[1])]


def _add(
    store: Path, keys: np.ndarray, rows: np.ndarray, compute: Compute, watch: Watch, share: tuple[int, int]
) -> None:
    """Compute the rows of these samples as a new segment of the store."""
    folder = store / _name(keys[rows])
    blocks = _blocks(store, folder.name)
    parts = [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]
    places = [blocks / f"{i:09d}.npz" for i in range(len(parts))]
    while not folder.is_dir():
        work = shared(
            blocks / "lock",
            len(parts),
            lambda i: folder.is_dir() or places[i].is_file(),
            len(parts) * share[0] // share[1],
        )
        for i in watch(work, len(parts)):
            made = {KEYS: keys[parts[i]], **compute(parts[i])}
            made[SUMS] = np.stack([row_sums(made[name]) for name in summed(made)], axis=1)
            with whole_file(places[i]) as partial, partial.open("wb") as f:
                np.savez(f, **made)  # type: ignore[arg-type]
        with alone(folder):
            if not folder.is_dir():
                with suppress(NotWhole):
                    for place, part in zip(places, parts, strict=True):
                        _block(place, KEYS, expected=keys[part])
                    _join(store, places)
    shutil.rmtree(blocks, ignore_errors=True)


class NotWhole(Exception):
    """A block is damaged, and was removed."""


def _join(store: Path, places: Sequence[Path]) -> None:
    """Join blocks into a segment, one block at a time, so that its arrays need not fit into memory. Raises NotWhole."""
    keys = np.concatenate([_block(place, KEYS)[KEYS] for place in places])
    with whole_folder(store / _name(keys)) as partial:
        arrays: dict[str, np.ndarray] = {}
        at = 0
        for place in places:
            block = _block(place)
            for name, rows in block.items():
                if name not in arrays:
                    arrays[name] = np.lib.format.open_memmap(
                        partial / f"{name}.npy", mode="w+", dtype=rows.dtype, shape=(len(keys), *rows.shape[1:])
                    )
                    reserve(partial / f"{name}.npy")
                arrays[name][at : at + len(rows)] = rows
            at += len(block[KEYS])
        for array in arrays.values():
            array.flush()  # type: ignore[attr-defined]
        (partial / SHAPES).write_text(description(arrays), "utf-8")


def _block(place: Path, *names: str, expected: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The arrays of a block, or those with these names. If it is not whole by the sums in it, or has other keys than `expected`,
    it is removed. Raises NotWhole."""
    try:
        with np.load(place, allow_pickle=False) as block:
            found = {name: block[name] for name in names or block.files}
        if expected is not None and not np.array_equal(found[KEYS], expected):
            raise ValueError("it is another block")
        return found
    except LOST as e:
        log.warning("%s: damaged (%s); it is computed again", place, e)
        place.unlink(missing_ok=True)  # another process may remove it too
        raise NotWhole from e


def _tidy(store: Path, manifest: Mapping[str, Any], keys: np.ndarray) -> None:
    """Check the store's manifest. Remove damaged segments. Make segments of the blocks that killed processes left, unless they
    are those of this very work, which goes on with them. Called while no other process uses the store."""
    file, expected = store / "manifest.json", json.loads(json.dumps(manifest))
    try:
        stored = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        stored = None
    except (ValueError, RecursionError):
        stored = {}
    if stored != expected:  # the folder is named after it, so the file is damaged
        if stored is not None:
            log.warning("%s: damaged; it is written again", file)
        write_text(file, json.dumps(manifest, indent=1, sort_keys=True))
    for folder in _folders(store):
        try:
            forget_damaged(folder)
        except LOST as e:
            log.warning("%s: damaged (%s); its rows are computed again where they are needed", folder, e)
            shutil.rmtree(folder)
    left = sorted(store.glob("*.blocks"))
    if len(left) == 1:
        missing = _missing(_where(_segments(store), keys), keys)
        if left == [_blocks(store, _name(keys[missing]))]:
            return
    for blocks in left:
        while places := sorted(blocks.glob("*.npz")):
            with suppress(NotWhole):
                _join(store, places)
                break
        shutil.rmtree(blocks, ignore_errors=True)
