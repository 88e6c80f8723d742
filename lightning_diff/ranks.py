"""Which of a job's processes this one is, and what it may say: the first one speaks for all."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console

console = Console(soft_wrap=True)


def rank_of() -> tuple[int, int]:
    """(this process's rank, how many there are), as torchrun, Lightning and SLURM tell before any group is formed."""

    def found(*names: str) -> list[int]:
        return [int(os.environ[n]) for n in names if os.environ.get(n, "").isdigit()]

    # The greatest: processes that Lightning starts inside a batch step inherit its SLURM_PROCID = 0.
    rank = max(found("RANK", "LOCAL_RANK", "SLURM_PROCID"), default=0)
    return rank, next(iter(found("WORLD_SIZE", "SLURM_NTASKS")), 1)


def share_of() -> tuple[int, int]:
    """(which of the processes this one is, how many there are) of work that is shared through the file system: tasks of a
    SLURM array, and their ranks."""
    rank, ranks = rank_of()
    task, last, first = (int(os.environ.get(f"SLURM_ARRAY_TASK_{n}", "0")) for n in ("ID", "MAX", "MIN"))
    return (task - first) * ranks + rank, (last - first + 1) * ranks


def first_rank() -> bool:
    """Whether this process is the first of the run's ranks."""
    return rank_of()[0] == 0


def say(*words: Any) -> None:
    if first_rank():
        console.print(*words, highlight=False)


def wait_for(path: Path) -> None:
    """Other ranks wait for what the first one writes."""
    while not path.is_file():
        time.sleep(0.5)
