"""Cached arrays are the same bytes, however many processes made them and whoever of them died."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lightning_diff.config.errors import ConfigError
from lightning_diff.data.cache import BLOCK, cached_arrays

COUNT = 9 * BLOCK + 17
MANIFEST = {"of": "numbers"}


def rows(first: int, stop: int) -> Mapping[str, np.ndarray]:
    n = np.arange(first, stop)
    return {"square": (n * n).astype(np.float32)[:, None], "odd": n % 2 == 1}


def work(root: Path, share: tuple[int, int], die_at: int, asked: Path) -> None:
    def compute(first: int, stop: int) -> Mapping[str, np.ndarray]:
        with asked.open("a") as f:
            f.write(f"{first}\n")
        time.sleep(0.05)
        if first == die_at * BLOCK:  # where it begins
            os.kill(os.getpid(), signal.SIGKILL)
        return rows(first, stop)

    cached_arrays(root, MANIFEST, COUNT, compute, share=share)


def contents(root: Path) -> dict[str, str]:
    (folder,) = [p for p in root.iterdir() if p.is_dir()]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_processes_of_which_one_is_killed_make_what_one_makes(tmp_path: Path) -> None:
    alone = cached_arrays(tmp_path / "alone", MANIFEST, COUNT, rows)
    assert (
        np.array_equal(alone["square"][:, 0], np.arange(COUNT, dtype=np.float64) ** 2)
        and alone["odd"].sum() == COUNT // 2
    )
    root, asked = tmp_path / "many", [tmp_path / f"asked{i}" for i in range(3)]
    workers = [
        multiprocessing.Process(target=work, args=(root, (i, 3), die, asked[i])) for i, die in enumerate((-1, 3, -1))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, -signal.SIGKILL, 0]
    assert contents(root) == contents(tmp_path / "alone")


def test_what_is_there_is_not_computed_again(tmp_path: Path) -> None:
    cached_arrays(tmp_path, MANIFEST, COUNT, rows)
    again = cached_arrays(tmp_path, MANIFEST, COUNT, lambda first, stop: pytest.fail("computed again"))
    assert len(again["odd"]) == COUNT
    (folder,) = [p for p in tmp_path.iterdir() if p.is_dir()]
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="its manifest is not what this run needs"):
        cached_arrays(tmp_path, MANIFEST, COUNT, rows)
