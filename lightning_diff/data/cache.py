"""Arrays that are computed once and kept, with a manifest of what made them. Another recipe is another folder; a folder
whose manifest does not match what is asked for is refused, never used.

They are computed in blocks of rows, each of them a file. So processes share the work through the file system alone, a
killed one loses the block that it was at, and the arrays do not depend on who computed what.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..config.errors import ConfigError
from ..files import alone, shared, whole_file, whole_folder
from .shards import digest

Compute = Callable[[int, int], Mapping[str, np.ndarray]]  # first row, one past the last -> rows
Watch = Callable[[Iterator[int], int], Iterable[int]]  # shows how far work of so many blocks is

BLOCK = 256


def cached_arrays(
    root: Path,
    manifest: Mapping[str, Any],
    count: int,
    compute: Compute,
    watch: Watch = lambda work, total: work,
    share: tuple[int, int] = (0, 1),
) -> dict[str, np.ndarray]:
    """The arrays of this manifest, memory-mapped; computed, with whoever else is at it, if they are not there. `share`, this
    process's number and how many there are, says where it begins. Raises ConfigError on a mismatch."""
    folder = root / digest(manifest)
    if not folder.is_dir():
        parts = folder.with_name(f"{folder.name}.blocks")
        starts = list(range(0, count, BLOCK))
        places = [parts / f"{start:09d}.npz" for start in starts]
        work = shared(
            parts / "lock",
            len(starts),
            lambda i: folder.is_dir() or places[i].is_file(),
            len(starts) * share[0] // share[1],
        )
        for i in watch(work, len(starts)):
            rows = compute(starts[i], min(starts[i] + BLOCK, count))
            with whole_file(places[i]) as partial, partial.open("wb") as f:
                np.savez(f, **dict(rows))  # type: ignore[arg-type]
        with alone(folder):
            if not folder.is_dir():
                _assemble(folder, places, {**manifest, "count": count}, count)
        shutil.rmtree(parts, ignore_errors=True)
    found = json.loads((folder / "manifest.json").read_text())
    if found != json.loads(json.dumps({**manifest, "count": count})):
        raise ConfigError(f"{folder}: its manifest is not what this run needs; delete the folder to compute it again")
    return {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in sorted(folder.glob("*.npy"))}


def _assemble(folder: Path, places: list[Path], manifest: Mapping[str, Any], count: int) -> None:
    """Block by block to the disk, so that the set need not fit in memory."""
    with whole_folder(folder) as partial:
        arrays: dict[str, np.ndarray] = {}
        at = 0
        for place in places:
            with np.load(place, allow_pickle=False) as block:
                for name in block.files:
                    rows = block[name]
                    if name not in arrays:
                        arrays[name] = np.lib.format.open_memmap(
                            partial / f"{name}.npy", mode="w+", dtype=rows.dtype, shape=(count, *rows.shape[1:])
                        )
                    arrays[name][at : at + len(rows)] = rows
            at += len(rows)
        for array in arrays.values():
            array.flush()  # type: ignore[attr-defined]
        if at != count:
            raise RuntimeError(f"computed {at} rows of {count}")
        (partial / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
