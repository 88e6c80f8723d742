"""Measurements during training, from time to time: the loss on held-out samples, and the scores of a few pictures."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ..tracking.record import Record
from .callbacks import Log, Meters
from .modules.base import BaseModule
from .modules.diffusion import DiffusionModule

Measure = Callable[[nn.Module], Mapping[str, Any]]
QUICK, VALIDATION = "quick", "validation"  # events of the record
BATCH = 64


class Periodic(pl.Callback):
    """Measures the averaged net every `every` steps, on the first rank, and writes the values as an event of that name. The
    seconds that this takes are recorded and do not count as training time. It draws no random numbers, so the run ends with the
    same bits as without it."""

    def __init__(self, event: str, every: int, measure: Measure, record: Record, mirror: Log) -> None:
        self.event, self.every, self.measure, self.record, self.mirror = event, every, measure, record, mirror
        self.net: nn.Module | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step % self.every or not trainer.is_global_zero:
            return
        assert isinstance(module, BaseModule)
        begin, busy = time.perf_counter(), time.process_time()
        if self.net is None:
            self.net = copy.deepcopy(module.net).requires_grad_(False).eval()
        self.net.load_state_dict(module.ema.state(), strict=False)
        values = dict(self.measure(self.net))
        seconds = time.perf_counter() - begin
        self.record.write(self.event, step, **values, seconds=seconds)
        floats = {f"{self.event}/{name}": value for name, value in values.items() if isinstance(value, float)}
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in floats.items()})
        self.mirror(step, {f"{self.event}_{name}": value for name, value in values.items() if isinstance(value, float)})
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Meters):
                callback.since += seconds
                callback.busy_since += time.process_time() - busy


def held_out_loss(module: DiffusionModule, features: Mapping[str, Tensor], averaged: nn.Module) -> dict[str, float]:
    """`loss` of the net and `loss_ema` of the averaged net on held-out samples."""
    total = torch.zeros(2, device=module.device)
    count = len(features["positions"])
    with torch.autocast(module.device.type, torch.bfloat16, enabled="bf16" in str(module.trainer.precision)):
        for i in range(0, count, BATCH):
            batch = {name: values[i : i + BATCH].to(module.device) for name, values in features.items()}
            total += torch.stack([module.held_out_losses(batch, net).sum() for net in (module.net, averaged)])
    loss, loss_ema = (total / count).tolist()
    return {"loss": loss, "loss_ema": loss_ema}
