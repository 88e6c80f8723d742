"""A dataset of cached latents with the captions' texts, which are encoded in each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ..index import Index
from ..order import Order, Place
from ..ordering.ordering import Ordering
from .rows import Rows


class CachedLatents(Dataset[dict[str, Any]]):
    """N samples: rows of the `arrays` mean and std, found by what the pictures hold, the captions of the same samples, read from
    the shards of `index`, and positions. Several captions of a sample take turns from epoch to epoch."""

    def __init__(self, arrays: Mapping[str, np.ndarray | Rows], index: Index, ordering: Ordering) -> None:
        self.arrays, self.index, self.ordering = dict(arrays), index, ordering
        self.reader = index.reader()

    def __len__(self) -> int:
        return len(self.index)

    def name(self, i: int) -> str:
        return self.index.name(i)

    def order(self, batch: int, seed: int) -> Order:
        """The order of the training in global batches."""
        return self.index.order(self.ordering, batch, seed)

    def __getitems__(self, places: Sequence[Place]) -> dict[str, Any]:
        positions, rows, turns = np.asarray(places).T
        batch: dict[str, Any] = {name: torch.from_numpy(array[rows]) for name, array in self.arrays.items()}
        said = [self.reader.captions(i) for i in rows.tolist()]
        batch["captions"] = [some[turn % len(some)] for some, turn in zip(said, turns.tolist(), strict=True)]
        return batch | {"positions": torch.from_numpy(positions)}
