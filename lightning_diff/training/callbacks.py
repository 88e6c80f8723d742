"""Callbacks at the end of each step: they write the record, show the progress bar, save the checkpoint, and stop the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ..cluster.signals import STOP
from ..config.errors import ConfigError
from ..tracking.record import Record
from .checkpoint import AtomicCheckpoints
from .modules.base import BaseModule
from .origin import KEY, Origin
from .speed import matmul_rate, peak_memory

Log = Callable[[int, dict[str, float]], None]


def portable(state: dict[str, Any], numbers: list[int]) -> None:
    """Change an optimizer's state, in place, to the form that sharded training reads: tensors are contiguous, and each
    parameter has its number in the module (the optimizer itself numbers them by their order in its groups). `numbers` are the
    numbers in the module of the optimizer's parameters, group by group."""
    state["state"] = {
        numbers[i]: {name: t.contiguous() if isinstance(t, Tensor) else t for name, t in moments.items()}
        for i, moments in state["state"].items()
    }
    for group in state["param_groups"]:
        group["params"] = [numbers[i] for i in group["params"]]


class Agreement:
    """Tells all ranks about a signal that any rank received, so that all ranks stop at the same step. The ranks exchange it on
    the CPU while the next step is computed. So each step sees the result of the step before, and nothing waits for the
    device."""

    def __init__(self, ranks: int) -> None:
        self.ranks = ranks
        self.group: Any = torch.distributed.new_group(backend="gloo") if ranks > 1 else None
        self.pending: tuple[Any, Tensor] | None = None

    def __call__(self, number: int) -> int:
        if self.ranks == 1:
            return number
        agreed = self.answer()
        told = torch.tensor(number)
        work = torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX, self.group, async_op=True)
        self.pending = work, told
        return agreed

    def answer(self) -> int:
        """The result of the last exchange; 0 if there was none."""
        if self.pending is None:
            return 0
        work, told = self.pending
        self.pending = None
        work.wait()
        return int(told)


class Checkpoint(pl.Callback):
    """Saves `last.ckpt` every `every` steps, at the end, and when a signal asks the run to stop. `kept` gives the paths of a
    step's other checkpoints. Each says its `origin`."""

    def __init__(self, path: Path, every: int, kept: Callable[[int], list[Path]], origin: Origin) -> None:
        self.path, self.every, self.kept, self.origin = path, every, kept, origin

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.agreement = Agreement(trainer.world_size)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(module, BaseModule)
        checkpoint[KEY] = self.origin.stored()
        if module.training_config.strategy == "ddp":
            numbers = {p: i for i, p in enumerate(module.parameters())}
            for optimizer, state in zip(trainer.optimizers, checkpoint["optimizer_states"], strict=True):
                portable(state, [numbers[p] for group in optimizer.param_groups for p in group["params"]])
            once: dict[int, Tensor] = {}  # a tensor with two names is written once
            for name, t in checkpoint["state_dict"].items():
                checkpoint["state_dict"][name] = once.setdefault(t.data_ptr(), t.contiguous())

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        stopping = self.agreement(STOP.number)
        for path in self.kept(step):
            trainer.save_checkpoint(path)  # it is on the disk before any later checkpoint is
        ends = step == trainer.max_steps or trainer.should_stop
        if stopping or step % self.every == 0 or ends:
            trainer.save_checkpoint(self.path)
        if stopping or ends:
            writer = trainer.strategy.checkpoint_io
            assert isinstance(writer, AtomicCheckpoints)
            writer.wait()
            self.agreement.answer()  # so no rank leaves while another rank still waits for it
        if stopping:
            raise STOP.end(stopping, step)


class Meters(pl.Callback):
    """Writes the means of the meters over `every` steps to the record and the mirrors, with the core-seconds that they took: the
    time of this process on the CPU, times the number of ranks. It waits for the device once each time."""

    def __init__(
        self, record: Record, every: int, batch: int, mirror: Log, keys_of: Callable[[int], list[str]]
    ) -> None:
        self.record, self.every, self.batch, self.mirror, self.keys_of = record, every, batch, mirror, keys_of
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor] = {}
        self.since, self.busy_since, self.steps, self.rate = time.perf_counter(), time.process_time(), 0, 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, BaseModule)
        if trainer.is_global_zero:
            how = {"world_size": trainer.world_size, "precision": str(trainer.precision)}
            if module.flops:
                kind = torch.bfloat16 if "bf16" in str(trainer.precision) else torch.float32
                self.rate = matmul_rate(module.device, kind) * trainer.world_size
                how |= {"gflops_per_sample": module.flops / 1e9, "matmul_tflops_per_second": self.rate / 1e12}
            self.record.write("start", trainer.global_step, **how)
        self.since, self.busy_since = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, BaseModule)
        for name, value in module.meters.items():
            value = value.float()
            known = ~value.isnan()
            self.sums[name] = self.sums.get(name, 0) + torch.where(known, value, 0.0)
            self.counts[name] = self.counts.get(name, 0) + known
        self.steps += 1
        step = trainer.global_step
        if step % self.every == 0 or step == trainer.max_steps:
            values = self._means(trainer)
            seconds = time.perf_counter() - self.since
            values["images_per_second"] = self.steps * self.batch / seconds
            values["core_seconds"] = (time.process_time() - self.busy_since) * trainer.world_size
            values["peak_memory_mib"] = peak_memory(module.device)
            if self.rate:  # as a share of the measured rate of matrix products
                values["utilisation"] = values["images_per_second"] * module.flops / self.rate
            values["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
            self.sums, self.counts, self.steps = {}, {}, 0
            self.since, self.busy_since = time.perf_counter(), time.process_time()
            if trainer.is_global_zero:
                self.record.write("train", step, **values)
                self.mirror(step, values)
            self._stop_if_lost(trainer, module)

    def _stop_if_lost(self, trainer: pl.Trainer, module: BaseModule) -> None:
        most, streak = module.training_config.skip_at_most, int(module.streak)
        if streak <= most:
            return
        step = trainer.global_step
        keys = self.keys_of(step - 1)
        self.record.write("not_finite", step, steps=streak, keys=keys)
        raise ConfigError(
            f"step {step}: the loss or its gradient was not finite in the last {streak} steps (training.skip_at_most="
            f"{most}), which changed nothing; the last batch begins with {', '.join(keys[:4])} (all of it: record.jsonl). Lower "
            "training.learning_rate, or take those pictures out"
        )

    def _means(self, trainer: pl.Trainer) -> dict[str, float]:
        """The mean of each meter over the interval and over all ranks."""
        names = sorted(self.sums)
        table = torch.stack([torch.stack([self.sums[n], self.counts[n].float()]) for n in names])
        if trainer.world_size > 1:
            torch.distributed.all_reduce(table)
        return {n: total / count for n, (total, count) in zip(names, table.tolist(), strict=True) if count}


class ProgressBar(pl.Callback):
    """Shows a bar with the loss, the images per second and the time left. Without a terminal it prints a line from time to
    time."""

    def __init__(self, console: Console, title: str, batch: int) -> None:
        self.console, self.title, self.batch = console, title, batch
        self.bar: Progress | None = None
        self.said = 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.first, self.began = trainer.global_step, time.perf_counter()
        if trainer.is_global_zero and self.console.is_terminal:
            name = TextColumn("{task.description}", markup=False)  # a name may hold [b]
            columns = (name, BarColumn(), "{task.completed}/{task.total}", TimeRemainingColumn())
            self.bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=self.console)
            self.task = self.bar.add_task(self.title, total=trainer.max_steps, completed=self.first, note="")
            self.bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        now, step = time.perf_counter(), trainer.global_step
        wait = 0.5 if self.bar else 20.0
        if not trainer.is_global_zero or (now - self.said < wait and step != trainer.max_steps):
            return
        assert isinstance(module, BaseModule)
        self.said = now
        rate = (step - self.first) / (now - self.began)
        note = f"loss {float(module.meters['loss']):.4f}  {rate * self.batch:.0f} images/s"
        if self.bar:
            self.bar.update(self.task, completed=step, note=note)
        else:
            left = (trainer.max_steps - step) / max(rate, 1e-9)
            self.console.print(
                f"{self.title}: step {step}/{trainer.max_steps}  {note}  {left:.0f} s left", highlight=False
            )

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if self.bar:
            self.bar.stop()
