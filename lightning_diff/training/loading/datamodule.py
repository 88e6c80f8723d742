"""The data loaders of a rank. The seed and the step determine the samples of a step (law 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, Sampler

from ...config.schema import Training
from ...data.dataset import Pictures, collate
from ...data.order import Batches
from ...data.remote.ahead import Ahead


class Stream(pl.LightningDataModule):
    """The loader of a rank. It starts at the trainer's step: one integer says where to continue."""

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
            batch_sampler=Ahead(batches, self.dataset.index if isinstance(self.dataset, Pictures) else None),
            num_workers=c.workers,
            collate_fn=collate,
            pin_memory=t.strategy.root_device.type == "cuda",
            prefetch_factor=4 if c.workers else None,
        )


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """The batches of (position, sample) of one epoch for one rank, for a Trainer that counts epochs itself. The order is that of
    Batches; it starts at the trainer's step, so a run that continues in the middle of an epoch gets the rest of it."""

    def __init__(self, trainer: pl.Trainer, count: int, batch: int, seed: int) -> None:
        self.trainer, self.count, self.batch, self.seed = trainer, count, batch, seed

    def __len__(self) -> int:
        return -(-self.count // self.batch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        t = self.trainer
        start = t.fit_loop.epoch_loop.total_batch_idx + 1
        stop = (start // len(self) + 1) * len(self)
        yield from Batches(self.count, self.batch, stop, self.seed, start, t.global_rank, t.world_size)
