"""The callback that ends a training when the loss on held-out pictures falls no more."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl

from ..ranks import say

WATCHED = "validation/loss_ema"


class StopEarly(pl.Callback):
    """After `patience` validations in a row without a fall by more than `least`, all ranks stop after the same step. Only the
    first rank knows the loss, so it tells the others. A continued run counts on from its checkpoint."""

    def __init__(self, every: int, patience: int, least: float) -> None:
        self.every, self.patience, self.least = every, patience, least
        self.best, self.best_step, self.count = math.inf, 0, 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.count >= self.patience:  # it was killed after its last step, before its weights were written
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step % self.every or step == trainer.max_steps:
            return
        found = trainer.callback_metrics.get(WATCHED)
        value: float = trainer.strategy.broadcast(math.nan if found is None else float(found))
        if value < self.best - self.least:
            self.best, self.best_step, self.count = value, step, 0
        elif not math.isnan(value):
            self.count += 1
        if self.count >= self.patience:
            say(f"step {step}: the validation loss is smallest at step {self.best_step}; stopping (callbacks=early)")
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step, "count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_step = float(state_dict["best"]), int(state_dict["best_step"])
        self.count = int(state_dict["count"])
