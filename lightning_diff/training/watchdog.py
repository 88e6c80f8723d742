"""A callback that ends a rank when it hangs or waits for a rank that is gone, so that the job can be started again."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from typing import Any

import pytorch_lightning as pl

from ..cluster.requeue import TRY_AGAIN

STOPPED = 1.0  # seconds: a nap that is this much longer, and a quarter of the patience, was no nap
FIRST = 1800.0  # extra seconds for the first step, which may compile the net


class Watchdog(pl.Callback):
    """If no step ends within `patience` seconds, writes the stacks of all threads of this rank to the log and exits with
    TRY_AGAIN. Each rank has its own watchdog, so the log shows where each rank was. Time in which this process was stopped
    (SIGSTOP, a laptop that sleeps) does not count."""

    def __init__(self, patience: float) -> None:
        self.patience, self.until, self.over = patience, 0.0, threading.Event()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.until = time.monotonic() + self.patience + FIRST
        self.rank = trainer.global_rank
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def on_train_batch_end(self, *_: Any) -> None:
        self.until = time.monotonic() + self.patience

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        self.over.set()

    def _watch(self) -> None:
        nap = min(1.0, self.patience / 10)
        before = time.monotonic()
        while not self.over.wait(nap):
            now = time.monotonic()
            if now - before > nap + max(STOPPED, self.patience / 4):
                self.until += now - before
            before = now
            if time.monotonic() > self.until:
                said = f"rank {self.rank}: no step has ended for {self.patience:g} s (training.patience); its threads:"
                print(said, file=sys.stderr, flush=True)
                faulthandler.dump_traceback(file=sys.stderr)
                os._exit(TRY_AGAIN)
