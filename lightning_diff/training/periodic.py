"""Periodic evaluation: during training, a few pictures from time to time give a curve of FID and CLIP score."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from torch import nn

from ..tracking.record import Record
from .callbacks import Log, Meters
from .modules.base import BaseModule

Measure = Callable[[nn.Module], Mapping[str, Any]]


class PeriodicEvaluation(pl.Callback):
    """Measures the averaged net every `every` steps, on the first rank. The seconds that this takes are recorded and do not
    count as training time. It draws no random numbers, so the run ends with the same bits as without it."""

    def __init__(self, every: int, measure: Measure, record: Record, mirror: Log) -> None:
        self.every, self.measure, self.record, self.mirror = every, measure, record, mirror
        self.net: nn.Module | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step % self.every or not trainer.is_global_zero:
            return
        assert isinstance(module, BaseModule)
        begin = time.perf_counter()
        if self.net is None:
            self.net = copy.deepcopy(module.net).requires_grad_(False).eval()
        self.net.load_state_dict(module.ema.state(), strict=False)
        values = dict(self.measure(self.net))
        seconds = time.perf_counter() - begin
        self.record.write("quick", step, **values, seconds=seconds)
        self.mirror(step, {f"quick_{name}": value for name, value in values.items() if isinstance(value, float)})
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Meters):
                callback.since += seconds
