"""The data loader of a rank. The seed and the step determine the samples of a step (law 1)."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from ..config.schema import Training
from ..data.dataset import collate
from ..data.order import Batches


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
            batch_sampler=batches,
            num_workers=c.workers,
            collate_fn=collate,
            pin_memory=t.strategy.root_device.type == "cuda",
            prefetch_factor=4 if c.workers else None,
        )
