"""Lightning's Trainer, set up so that the same command continues the same run, bit for bit on the CPU."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from ..cluster.signals import STOP
from ..config.schema import Config, Training
from ..data.dataset import collate
from ..data.order import Batches, sample_at
from ..devices import bf16_pays, device_of, on_gpu
from ..tracking.record import Record
from .callbacks import Checkpoint, Log, Meters, ProgressBar
from .checkpoint import WholeCheckpoints, read_checkpoint
from .modules.base import Trained
from .posthoc import Snapshots
from .watchdog import Watchdog

LAST = Path("checkpoints") / "last.ckpt"


class Stream(pl.LightningDataModule):
    """The loader of a rank, from the step that the trainer is at: where to go on is one integer."""

    def __init__(self, dataset: Dataset[Any], training: Training, seed: int) -> None:
        super().__init__()
        self.dataset, self.config, self.seed = dataset, training, seed

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        t, c = self.trainer, self.config
        batches = Batches(
            len(self.dataset),  # type: ignore[arg-type]
            c.batch,
            c.steps,
            self.seed,
            t.global_step,
            t.global_rank,
            t.world_size,
        )
        return DataLoader(
            self.dataset,
            batch_sampler=batches,
            num_workers=c.workers,
            collate_fn=collate,
            pin_memory=t.strategy.root_device.type == "cuda",
            prefetch_factor=4 if c.workers else None,
        )


def precision_of(training: Training) -> Any:
    """bf16 where it pays, unless the config says otherwise."""
    auto = "bf16-mixed" if bf16_pays(device_of(training)) else "32-true"
    return auto if training.precision == "auto" else training.precision


def make_trainer(training: Training, folder: Path, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Its checkpoints, loggers and signals are ours."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.optim.lr_scheduler")
    if on_gpu(training):
        torch.set_float32_matmul_precision("high")
    ranks = training.devices * training.nodes
    strategy: Any = "auto"
    if training.strategy == "fsdp":
        strategy = ModelParallelStrategy(ranks, 1, save_distributed_checkpoint=False)
    trainer = pl.Trainer(
        max_steps=training.steps,
        max_epochs=-1,
        accelerator="gpu" if on_gpu(training) else "cpu",
        devices=training.devices,
        num_nodes=training.nodes,
        strategy=strategy,
        precision=precision_of(training),
        plugins=[WholeCheckpoints()],
        callbacks=callbacks,
        default_root_dir=folder,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        benchmark=on_gpu(training),
        profiler="simple" if training.profile else None,
    )
    # Its handlers talk to other ranks from within a signal, and end a terminated run with exit code 0.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def fit(
    module: Trained,
    dataset: Dataset[Any],
    config: Config,
    folder: Path,
    record: Record,
    console: Console,
    mirror: Log,
    title: str,
    extra: Callable[[], list[pl.Callback]] = list,
) -> int:
    """Train to config.training.steps, from the folder's last checkpoint if there is one. Returns the step it began at.

    Raises Interrupted when a signal asked it to stop.
    """
    t = config.training
    last = folder / LAST
    begin = 0
    if last.is_file():
        begin = int(read_checkpoint(last)["global_step"])
        rank_zero_only(console.print)(f"{title}: continuing at step {begin} of {t.steps}", highlight=False)
    if begin >= t.steps:
        module.on_load_checkpoint(checkpoint := read_checkpoint(last))
        module.load_state_dict(checkpoint["state_dict"])
        return begin

    def keys_of(step: int) -> list[str]:
        rows = range(step * t.batch, (step + 1) * t.batch)
        return [dataset.name(sample_at(p, len(dataset), config.seed)) for p in rows]  # type: ignore[attr-defined,arg-type]

    callbacks = [
        Meters(record, t.log_every, t.batch, mirror, keys_of),
        ProgressBar(console, title, t.batch),
        *extra(),
        *([Snapshots(folder, t.ema_every)] if t.ema_every else []),
        Checkpoint(last, t.checkpoint_every),
        *([Watchdog(t.patience)] if t.patience else []),
    ]

    trainer = make_trainer(t, folder, callbacks)
    stream = Stream(dataset, t, config.seed)
    STOP.deferred = True
    try:
        trainer.fit(module, datamodule=stream, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    finally:
        STOP.deferred = False
    return begin
