"""Lightning's Trainer, set up so that the same command continues the same run. On the CPU the result has the same bits."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from torch.utils.data import Dataset

from ..cluster.meeting import Meeting
from ..cluster.signals import STOP
from ..cluster.standby import STANDBY
from ..config.schema import Training
from ..data.ordering.ordering import ShardOrder
from ..devices import bf16_pays, device_of, on_gpu, settings_kept, with_same_bits
from ..tracking.record import Record
from .averages.posthoc import Snapshots
from .callbacks import Checkpoint, Log, Meters, ProgressBar
from .checkpoint import LAST as LAST
from .checkpoint import UNDECAYED as UNDECAYED
from .checkpoint import AtomicCheckpoints, kept_name
from .loading.counts import SetCounts
from .loading.datamodule import Stream, order_of
from .modules.base import BaseModule
from .origin import Origin, choose_checkpoint
from .schedule import decay_start
from .watchdog import Watchdog

NOWHERE = Origin()


def precision_of(training: Training) -> Any:
    """Lightning's precision. If the config says auto, it is bf16-mixed where that is faster, else float32."""
    auto = "bf16-mixed" if bf16_pays(device_of(training.accelerator)) else "32-true"
    return auto if training.precision == "auto" else training.precision


def make_trainer(training: Training, folder: Path, callbacks: list[pl.Callback]) -> pl.Trainer:
    """A Trainer that leaves checkpoints, logging and signals to our code."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings(
        "ignore", module="pytorch_lightning|lightning_fabric|torch.optim.lr_scheduler|open_clip.loss"
    )
    ranks = training.devices * training.nodes
    strategy: Any = "auto"
    if training.strategy == "fsdp":
        strategy = ModelParallelStrategy(ranks, 1, save_distributed_checkpoint=False)
    trainer = pl.Trainer(
        max_steps=training.steps,
        max_epochs=-1,
        accelerator="gpu" if on_gpu(training.accelerator) else "cpu",
        devices=training.devices,
        num_nodes=training.nodes,
        strategy=strategy,
        precision=precision_of(training),
        plugins=[AtomicCheckpoints()],
        callbacks=callbacks,
        default_root_dir=folder,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        benchmark=False,
        profiler="simple" if training.profile else None,
    )
    # Lightning's handlers talk to other ranks inside a signal handler, and end a terminated run with exit code 0.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def fit(
    module: BaseModule,
    dataset: Dataset[Any],
    training: Training,
    seed: int,
    folder: Path,
    record: Record,
    console: Console,
    mirror: Log,
    title: str,
    extra: Callable[[], list[pl.Callback]] = list,
    own: Sequence[pl.Callback] = (),
    origin: Origin = NOWHERE,
) -> int:
    """Train up to training.steps, and start from the folder's newest whole checkpoint if there is one. `own` are the
    callbacks that the config names. Returns the step after which the training ended.

    Raises Interrupted when a signal asks the run to stop, ConfigError if the run cannot go on from its checkpoints.
    """
    t, begin, start = training, 0, None

    @rank_zero_only
    def told(line: str, event: Mapping[str, Any]) -> None:
        console.print(line, highlight=False)
        record.write("checkpoint", **event)

    if found := choose_checkpoint(folder, origin, module, told):
        start, checkpoint = found
        begin = checkpoint["global_step"]
        rank_zero_only(console.print)(f"{title}: continuing at step {begin} of {t.steps}", highlight=False)
    if begin >= t.steps:
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"])
        return begin

    order = order_of(dataset, t.batch, seed)

    def keys_of(step: int) -> list[str]:
        return [dataset.name(number) for _, number, _ in order.places(step)]  # type: ignore[attr-defined]

    def kept(step: int) -> list[Path]:
        undecayed = t.schedule == "wsd" and step == decay_start(t)
        every = t.keep_every and step % t.keep_every == 0
        return [*[folder / UNDECAYED] * undecayed, *[folder / kept_name(step)] * bool(every)]

    mixed = isinstance(order, ShardOrder) and len(order.names) > 1
    callbacks = [
        *([SetCounts(record, t.log_every, order.by_set)] if mixed else []),  # type: ignore[attr-defined]
        Meters(record, t.log_every, t.batch, mirror, keys_of),
        ProgressBar(console, title, t.batch),
        *extra(),
        *([Snapshots(folder, t.ema_every)] if t.ema_every else []),
        *own,
        Checkpoint(folder / LAST, t.checkpoint_every, kept, origin),
        *([Watchdog(t.patience)] if t.patience else []),
    ]

    stream, gpu = Stream(dataset, t, seed), on_gpu(t.accelerator)

    def work() -> None:
        if gpu and t.devices * t.nodes == 1 and t.strategy == "ddp":
            module.record()
        trainer.fit(module, datamodule=stream, ckpt_path=str(start) if start else None, weights_only=True)

    @rank_zero_only
    def not_the_same(reason: str) -> None:
        console.print(f"{title}: continued after a kill, this training ends with other bits: {reason}", markup=False)
        record.write("same_bits", always=False, reason=reason)

    several = t.devices * t.nodes > 1
    called = several and STANDBY.call(t.devices * t.nodes)
    with settings_kept(), STANDBY.watched():
        trainer = make_trainer(t, folder, callbacks)
        launcher = trainer.strategy.launcher
        meeting = Meeting(STANDBY.tell if called else launcher.kill if launcher else lambda number: None)
        trainer.callbacks.append(LambdaCallback(on_train_start=lambda *_: meeting.end()))  # type: ignore[attr-defined]
        STOP.deferred = True
        try:
            if several:
                meeting.begin()
            if gpu:
                torch.set_float32_matmul_precision("high")
                with_same_bits(work, not_the_same)
            else:
                work()
        finally:
            meeting.end()
            STOP.deferred = False
            if "LOCAL_RANK" in os.environ:  # Lightning takes it away at the end, but the ranks go on together
                os.environ.setdefault("WORLD_SIZE", str(trainer.world_size))
    return trainer.global_step
