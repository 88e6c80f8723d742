"""From a set and the user's words to its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..order import FullOrder, Order, Place, share
from .blocks import BLOCK, BlockOrder, Entries
from .weights import Sets

LARGE = 1_000_000  # samples; `auto` permutes larger sets in blocks


@dataclass(frozen=True)
class Ordering:
    """`kind`: full permutes all samples of an epoch; blocks reads shard by shard, in blocks of about `block` samples; auto takes
    blocks for sets that are large, mixed, or in buckets, and full for others."""

    kind: str = "auto"
    block: int = BLOCK

    def in_blocks(self, count: int) -> bool:
        """Whether a set of so many samples, neither mixed nor in buckets, is permuted in blocks."""
        return self.kind == "blocks" or (self.kind == "auto" and count > LARGE)

    def of(
        self,
        shards: np.ndarray,
        count: int,
        batch: int,
        seed: int,
        sets: Sets | None = None,
        buckets: np.ndarray | None = None,
    ) -> Order:
        """The order of N samples, whose shards are `shards` int [N], numbers below `count`, and whose buckets are `buckets` int
        [N]."""
        plain = sets is None and buckets is None
        if self.kind == "full" or (plain and not self.in_blocks(len(shards))):
            return FullOrder(len(shards), batch, seed)
        return ShardOrder(shards, count, batch, seed, self.block, sets, buckets)


class ShardOrder:
    """The order in blocks of N samples that lie in shards. `sets` gives the shards' weights; `names` are those of the sets."""

    def __init__(
        self,
        shards: np.ndarray,
        count: int,
        batch: int,
        seed: int,
        block: int = BLOCK,
        sets: Sets | None = None,
        buckets: np.ndarray | None = None,
    ) -> None:
        many = 1 if buckets is None or not len(buckets) else int(buckets.max()) + 1
        of = shards * many if buckets is None else shards * many + buckets
        counts = np.bincount(of, minlength=count * many).reshape(count, many)
        self.first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        # In most sets the samples lie in the order of their shards, and this list of all samples is not needed.
        self.numbers = None if (np.diff(of) >= 0).all() else np.argsort(of, kind="stable")
        self.batch, self.sets = batch, sets
        self.blocks = BlockOrder(counts, batch, seed, block, sets)

    def places(self, step: int, rank: int = 0, ranks: int = 1) -> list[Place]:
        bucket, entries = self.blocks.at(step)
        positions = share(step, self.batch, rank, ranks)
        some = entries[positions.start - step * self.batch : positions.stop - step * self.batch]
        return list(zip(positions, self._numbers(bucket, some).tolist(), some.turns.tolist(), strict=True))

    def bucket(self, step: int) -> int:
        """The bucket of a step, the same for all ranks."""
        return self.blocks.at(step)[0]

    def shards_of(self, step: int) -> list[int]:
        """The shards that the batch of a step lies in."""
        return sorted(set(self.blocks.at(step)[1].shards.tolist()))

    def carried(self, epoch: int, block: int) -> dict[int, list[int]]:
        """The samples that the blocks before this one leave to it, by their shards."""
        found: dict[int, list[int]] = {}
        for bucket in range(self.blocks.buckets):
            some = self.blocks.carried(epoch, block, bucket)
            for shard, sample in zip(some.shards.tolist(), self._numbers(bucket, some).tolist(), strict=True):
                found.setdefault(shard, []).append(sample)
        return {shard: sorted(set(samples)) for shard, samples in found.items()}

    @property
    def names(self) -> Sequence[str]:
        return self.sets.names if self.sets else ()

    def by_set(self, step: int) -> dict[str, int]:
        """How many samples of the batch of a step each set has; {} if there is one set."""
        if self.sets is None:
            return {}
        counts = np.bincount(self.sets.of[self.blocks.at(step)[1].shards], minlength=len(self.sets.names))
        return dict(zip(self.sets.names, counts.tolist(), strict=True))

    def _numbers(self, bucket: int, some: Entries) -> np.ndarray:
        """The numbers of these samples of a bucket."""
        at = self.first[some.shards * self.blocks.buckets + bucket] + some.rows
        return at if self.numbers is None else self.numbers[at]
