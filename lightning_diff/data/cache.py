"""Arrays that are computed once and kept, with a manifest of what made them. Another recipe is another folder; a folder
whose manifest does not match what is asked for is refused, never used."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..config import ConfigError
from .shards import digest

Rows = Iterator[Mapping[str, np.ndarray]]


def cached_arrays(
    root: Path, manifest: Mapping[str, Any], count: int, compute: Callable[[], Rows]
) -> dict[str, np.ndarray]:
    """The arrays of this manifest, memory-mapped. `compute` yields blocks of rows; blocks go to the disk as they come,
    so that the set need not fit in memory. Raises ConfigError on a mismatch."""
    folder = root / digest(manifest)
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        files: dict[str, np.ndarray] = {}
        at = 0
        for block in compute():
            size = len(next(iter(block.values())))
            for name, rows in block.items():
                if name not in files:
                    files[name] = np.lib.format.open_memmap(
                        partial / f"{name}.npy", mode="w+", dtype=rows.dtype, shape=(count, *rows.shape[1:])
                    )
                files[name][at : at + size] = rows
            at += size
        for array in files.values():
            array.flush()  # type: ignore[attr-defined]
        if at != count:
            raise RuntimeError(f"computed {at} rows of {count}")
        (partial / "manifest.json").write_text(json.dumps({**manifest, "count": count}, indent=1, sort_keys=True))
        try:
            partial.rename(folder)
        except OSError:  # another process made it meanwhile
            shutil.rmtree(partial)
    found = json.loads((folder / "manifest.json").read_text())
    if found != json.loads(json.dumps({**manifest, "count": count})):
        raise ConfigError(f"{folder}: its manifest is not what this run needs; delete the folder to compute it again")
    return {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in sorted(folder.glob("*.npy"))}
