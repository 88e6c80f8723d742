"""The data loaders of a rank. The seed and the step determine the samples of a step (law 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, Sampler

from ...config.schema import Training
from ...data.dataset import collate
from ...data.order import Batches, FullOrder, Order, Place
from ...data.remote.ahead import Ahead

PREFETCH = 4  # batches that each worker keeps ready


def order_of(dataset: Dataset[Any], batch: int, seed: int) -> Order:
    """The order of a dataset in global batches; of one that has none of its own, a permutation of each epoch."""
    own = getattr(dataset, "order", None)
    return own(batch, seed) if own else FullOrder(len(dataset), batch, seed)  # type: ignore[arg-type]


class Stream(pl.LightningDataModule):
    """The loader of a rank. It starts at the trainer's step: one integer says where to continue."""

    def __init__(self, dataset: Dataset[Any], training: Training, seed: int) -> None:
        super().__init__()
        self.dataset, self.config, self.seed = dataset, training, seed

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        t, c = self.trainer, self.config
        order = order_of(self.dataset, c.batch, self.seed)
        batches = Batches(order, c.steps, t.global_step, t.global_rank, t.world_size)
        return DataLoader(
            self.dataset,
            batch_sampler=Ahead(batches, getattr(self.dataset, "index", None)),
            num_workers=c.workers,
            collate_fn=collate,
            pin_memory=t.strategy.root_device.type == "cuda",
            prefetch_factor=PREFETCH if c.workers else None,
        )


class EpochBatches(Sampler[list[Place]]):
    """The places of one epoch for one rank, a list for each batch, for a Trainer that counts epochs itself. The order is that of
    Batches; it starts at the trainer's step, so a run that continues in the middle of an epoch gets the rest of it."""

    def __init__(self, trainer: pl.Trainer, count: int, order: Order) -> None:
        self.trainer, self.count, self.order = trainer, count, order

    def __len__(self) -> int:
        return -(-self.count // self.order.batch)

    def __iter__(self) -> Iterator[list[Place]]:
        t = self.trainer
        start = t.fit_loop.epoch_loop.total_batch_idx + 1
        stop = (start // len(self) + 1) * len(self)
        yield from Batches(self.order, stop, start, t.global_rank, t.world_size)
