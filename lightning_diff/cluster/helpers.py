"""More processes for a long sweep on a CPU: one of one thread for each core. They draw blocks of pictures beside this process,
which they meet in the run's folder alone.

Threads of one process wait for the slowest one at each operation, so a busy neighbour on one core stops them all. Processes do
not wait for each other: who is slower draws fewer blocks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..config.paths import PACKAGE_FOLDER
from ..devices import on_gpu
from ..ranks import HELPS, say, started_ranks
from .processes import SHARED, cores

LONG = 10_000  # network evaluations: a process that helps with less has hardly started when all is done
MOST = 8  # processes: each has nets of its own in memory
MAIN = "import sys; sys.path.insert(0, {folder!r}); from lightning_diff.cli.main import main; main()"
PATIENCE = 10.0  # seconds for a helper to end after SIGTERM


class Helpers:
    """Processes that measure the same run with evaluate.py and these `words`. They are started by `work_left` if that pays, and
    ended with the `with` block. Without `words` none is started."""

    def __init__(self, run: Path, words: Sequence[str] | None, accelerator: str) -> None:
        self.command = ["evaluate", f"run={run.resolve()}", *(words or ())]
        alone = not (on_gpu(accelerator) or started_ranks() or SHARED & set(os.environ))
        self.most = min(cores(), MOST) if alone and words is not None else 1
        self.started: list[subprocess.Popen[bytes]] = []
        self.threads = torch.get_num_threads()

    def __enter__(self) -> Helpers:
        return self

    def work_left(self, evaluations: int, blocks: int) -> None:
        """So much is left to be drawn. The first time that it is long, the helpers are started."""
        count = min(self.most, blocks)
        if self.started or evaluations < LONG or count < 2:
            return
        threads = max(1, cores() // count)
        self.started = [self._start(rank, count, threads) for rank in range(1, count)]
        torch.set_num_threads(threads)

    def _start(self, rank: int, count: int, threads: int) -> subprocess.Popen[bytes]:
        role = {"RANK": rank, "WORLD_SIZE": count, "OMP_NUM_THREADS": threads, HELPS: os.getpid()}
        return subprocess.Popen(
            [sys.executable, "-c", MAIN.format(folder=str(PACKAGE_FOLDER)), *self.command],
            env=os.environ | {name: str(value) for name, value in role.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the process that is helped
        )

    def __exit__(self, *_: Any) -> None:
        failed = [code for helper in self.started if (code := helper.poll())]
        if failed:
            say(
                f"{len(failed)} of the processes that helped ended with code {failed[0]}; this one has drawn what they left"
            )
        for helper in self.started:
            helper.terminate()
        end = time.monotonic() + PATIENCE
        for helper in self.started:
            try:
                helper.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                helper.kill()
                helper.wait()
        if self.started:
            torch.set_num_threads(self.threads)
