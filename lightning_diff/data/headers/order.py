"""The order in blocks of a set of which only the numbers of samples are in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..ordering.blocks import BlockOrder, Entries
from ..ordering.ordering import ShardOrder

if TYPE_CHECKING:
    from ..ordering.weights import Sets


class HeaderOrder(ShardOrder):
    """As ShardOrder. `counts` int64 [S, K]: the samples of each bucket in each shard. `first` int64 [S + 1]: the number of the
    first sample of each shard. `rows` (shard, bucket): the rows of that bucket in the shard; None if there is one bucket."""

    def __init__(
        self,
        counts: np.ndarray,
        first: np.ndarray,
        rows: Callable[[int, int], np.ndarray] | None,
        batch: int,
        seed: int,
        block: int,
        sets: Sets | None = None,
    ) -> None:
        self.first, self.rows, self.batch, self.sets = first, rows, batch, sets
        self.blocks = BlockOrder(counts, batch, seed, block, sets)

    def _numbers(self, bucket: int, some: Entries) -> np.ndarray:
        if self.rows is None:
            return self.first[some.shards] + some.rows
        found = np.zeros(len(some), np.int64)
        for shard in np.unique(some.shards).tolist():
            mine = some.shards == shard
            found[mine] = self.first[shard] + self.rows(shard, bucket)[some.rows[mine]]
        return found
