"""A cache of arrays on the disk, each set with a manifest of what made it.

Another manifest means another folder. A folder whose manifest is not the expected one is refused. The arrays are computed
in blocks of rows, one file for each block. So processes share the work through the file system, a killed process loses
only its current block, and the arrays do not depend on which process computed which block.
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

Compute = Callable[[int, int], Mapping[str, np.ndarray]]  # (first row, one past the last row) -> {name: rows}
Watch = Callable[
    [Iterator[int], int], Iterable[int]
]  # shows the progress: (blocks, number of blocks) -> the same blocks

BLOCK = 256  # rows


def cached_arrays(
    root: Path,
    manifest: Mapping[str, Any],
    count: int,
    compute: Compute,
    watch: Watch = lambda work, total: work,
    share: tuple[int, int] = (0, 1),
) -> dict[str, np.ndarray]:
    """The arrays of this manifest, memory-mapped. If they are missing, they are computed, together with other processes that
    want them. `share` is (number of this process, number of processes); it decides where this process begins. Raises
    ConfigError if the stored manifest is another one."""
    folder = root / digest(manifest)
    if not folder.is_dir():
        blocks = folder.with_name(f"{folder.name}.blocks")
        starts = list(range(0, count, BLOCK))
        places = [blocks / f"{start:09d}.npz" for start in starts]
        work = shared(
            blocks / "lock",
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
        shutil.rmtree(blocks, ignore_errors=True)
    found = json.loads((folder / "manifest.json").read_text())
    if found != json.loads(json.dumps({**manifest, "count": count})):
        raise ConfigError(f"{folder}: its manifest is not what this run needs; delete the folder to compute it again")
    return {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in sorted(folder.glob("*.npy"))}


def _assemble(folder: Path, places: list[Path], manifest: Mapping[str, Any], count: int) -> None:
    """Join the blocks into arrays on the disk, one block at a time, so the arrays need not fit into memory."""
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
