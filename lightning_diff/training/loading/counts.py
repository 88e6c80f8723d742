"""The record of a training on several sets: how many samples each set gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from ...tracking.record import Record


class SetCounts(pl.Callback):
    """Writes the event `sets` every `every` steps: {set: samples in the steps since the last such event}. `by_set` gives those of
    a step, of all ranks together."""

    def __init__(self, record: Record, every: int, by_set: Callable[[int], dict[str, int]]) -> None:
        self.record, self.every, self.by_set = record, every, by_set
        self.counts: Counter[str] = Counter()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        self.counts.update(self.by_set(step - 1))
        if step % self.every == 0 or step == trainer.max_steps:
            self.record.write("sets", step, samples=dict(self.counts))
            self.counts.clear()
