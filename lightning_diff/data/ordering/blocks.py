"""An order that reads a set shard by shard: a pure function of (counts, seed, step), in the memory of a block.

In each epoch the shards are permuted and cut into blocks of about `block` samples. A bucket (the pictures of one shape; a set of
squares has one) is an endless stream over the blocks: the samples of a block are permuted, and whatever does not fill a batch
is carried into the next block, and into the next epoch. So each batch is of one bucket, and no sample is dropped. The batches
that a block completes are permuted. Where the n-th batch of a bucket lies follows from the counts alone, so that any step is
found without those before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .weights import Copies, Sets

KEY = 0xB10C  # separates these random numbers from those of other uses of the seed
SHARDS, BATCHES, BUCKETS = 0, 1, 2  # what is permuted; bucket k has the number BUCKETS + k
BLOCK = 240_000  # samples


@dataclass(frozen=True)
class Entries:
    """B samples: `shards` int64 [B], their `rows` int64 [B] among the samples of one bucket in their shard, and `turns` int64
    [B], how often each was listed before."""

    shards: np.ndarray
    rows: np.ndarray
    turns: np.ndarray

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, some: slice) -> Entries:
        return Entries(self.shards[some], self.rows[some], self.turns[some])

    @classmethod
    def joined(cls, parts: list[Entries]) -> Entries:
        if len(parts) == 1:
            return parts[0]
        columns = zip(*((part.shards, part.rows, part.turns) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class Epoch:
    """An epoch of L listed shards in N blocks. `shards` int64 [L] in their order, and `turns` int64 [L]. `edges` int64 [N + 1]:
    where blocks begin in them. `seen` int64 [N + 1, K]: the samples of each bucket before each block, over all epochs. `steps`
    int64 [N + 1]: the steps before each block."""

    number: int
    shards: np.ndarray
    turns: np.ndarray
    edges: np.ndarray
    seen: np.ndarray
    steps: np.ndarray


class BlockOrder:
    """The batches of a set whose `counts` int64 [S, K] say how many samples of each of K buckets each of S shards has.

    Laws: each sample of a set of weight w is in floor(w E) or ceil(w E) batches after E epochs, but for those pending, fewer than
    `batch` of each bucket. A batch is of one bucket. The same numbers give the same batch, whatever was asked for before.
    Memory: that of the counts, a list of the shards, and two blocks (a block has at most one shard more than `block` samples)."""

    def __init__(self, counts: np.ndarray, batch: int, seed: int, block: int = BLOCK, sets: Sets | None = None) -> None:
        self.counts = np.asarray(counts, np.int64).reshape(len(counts), -1)
        self.batch, self.seed, self.block = batch, seed, block
        self.buckets = self.counts.shape[1]
        self.sizes = self.counts.sum(axis=1)
        self.copies = Copies(sets or Sets.one(len(counts)), seed)
        if not (self.sizes * self.copies.times).any():
            raise ValueError("no sample in these shards")
        self.latest = 0  # the epoch that was found last; the next step is most likely in it
        self.epoch = lru_cache(3)(self._epoch)
        self.batches = lru_cache(2)(self._batches)
        self.stream = lru_cache(self.buckets + 2)(self._stream)

    def at(self, step: int) -> tuple[int, Entries]:
        """(bucket, samples) of the global batch of a step."""
        number, block = self.block_of(step)
        bucket, nth = self.batches(number, block)[step - self.steps_of(number, block).start].tolist()
        return bucket, self._taken(bucket, nth * self.batch, (nth + 1) * self.batch, number, block)

    def block_of(self, step: int) -> tuple[int, int]:
        """(epoch, block) that completes the batch of a step."""
        epoch = self.epoch(self.latest)
        if not epoch.steps[0] <= step < epoch.steps[-1]:
            self.latest = self._epoch_with(step, lambda seen: int((seen // self.batch).sum()))
            epoch = self.epoch(self.latest)
        return epoch.number, int(np.searchsorted(epoch.steps, step, side="right")) - 1

    def steps_of(self, number: int, block: int) -> range:
        """The steps of a block."""
        steps = self.epoch(number).steps
        return range(int(steps[block]), int(steps[block + 1]))

    def next_block(self, number: int, block: int) -> tuple[int, int]:
        """The block after this one."""
        return (number, block + 1) if block + 2 < len(self.epoch(number).edges) else (number + 1, 0)

    def shards_of(self, number: int, block: int) -> np.ndarray:
        """The shards of a block, in the order in which they are listed. Samples that were carried into it lie in shards of blocks
        before it; `carried` has these."""
        epoch = self.epoch(number)
        return epoch.shards[epoch.edges[block] : epoch.edges[block + 1]]

    def carried(self, number: int, block: int, of: int | None = None) -> Entries:
        """The samples that the blocks before this one leave to it, of one bucket or of all: fewer than `batch` of each."""
        seen = self.epoch(number).seen[block]
        parts = [
            self._taken(k, count // self.batch * self.batch, count, number, block)
            for k, count in enumerate(seen.tolist())
            if count % self.batch and of in (None, k)
        ]
        nothing = np.zeros(0, np.int64)
        return Entries.joined([Entries(nothing, nothing, nothing), *parts])

    def seen_before(self, epoch: int) -> np.ndarray:
        """int64 [K]: the samples of each bucket that are listed before an epoch begins."""
        return self.copies.before(epoch) @ self.counts

    def _epoch_with(self, place: int, begin: Callable[[np.ndarray], int]) -> int:
        """The epoch that has a place, where `begin` says how many places come before an epoch, of what is seen before it."""
        high = 1
        while begin(self.seen_before(high)) <= place:
            high *= 2
        return bisect_right(range(high), place, key=lambda epoch: begin(self.seen_before(epoch))) - 1

    def _generator(self, epoch: int, block: int, what: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self.seed, KEY], counter=[0, what, block, epoch]))

    def _epoch(self, number: int) -> Epoch:
        before = self.copies.before(number)
        times = self.copies.before(number + 1) - before
        listed = np.repeat(np.arange(len(times)), times)
        turns = before[listed] + np.arange(len(listed)) - np.repeat(np.cumsum(times) - times, times)
        order = self._generator(number, 0, SHARDS).permutation(len(listed))
        shards, turns = listed[order], turns[order]
        ends = np.cumsum(self.sizes[shards])
        total = int(ends[-1]) if len(ends) else 0
        blocks = max(1, round(total / self.block))
        edges = np.searchsorted((ends - self.sizes[shards]) * blocks, np.arange(blocks + 1) * total)
        edges[-1] = len(shards)
        within = np.zeros((len(shards) + 1, self.buckets), np.int64)
        np.cumsum(self.counts[shards], axis=0, out=within[1:])
        seen = self.seen_before(number) + within[edges]
        return Epoch(number, shards, turns, edges, seen, (seen // self.batch).sum(axis=1))

    def _batches(self, number: int, block: int) -> np.ndarray:
        """int64 [steps of the block, 2]: bucket, and number of the batch in the bucket's stream."""
        first, last = self.epoch(number).seen[block : block + 2] // self.batch
        of = np.repeat(np.arange(self.buckets), last - first)
        nth = np.arange(len(of)) - np.repeat(np.cumsum(last - first) - (last - first), last - first) + first[of]
        return np.column_stack([of, nth])[self._generator(number, block, BATCHES).permutation(len(of))]

    def _stream(self, bucket: int, number: int, block: int) -> Entries:
        """The samples of a bucket in a block, permuted."""
        epoch = self.epoch(number)
        some = slice(epoch.edges[block], epoch.edges[block + 1])
        shards = epoch.shards[some]
        counts = self.counts[shards, bucket]
        starts = np.cumsum(counts) - counts
        order = self._generator(number, block, BUCKETS + bucket).permutation(int(counts.sum()))
        at = np.repeat(np.arange(len(shards)), counts)[order]
        return Entries(shards[at], order - starts[at], epoch.turns[some][at])

    def _taken(self, bucket: int, first: int, last: int, number: int, block: int) -> Entries:
        """The samples of a bucket's stream from `first` to `last`. The block has the last of them, or ends before it."""
        parts = []
        for at_number, at_block, begin in self._back(bucket, first, last, number, block):
            stream = self.stream if (at_number, at_block) == (number, block) else self._stream
            entries = stream(bucket, at_number, at_block)
            parts.append(entries[max(0, first - begin) : last - begin])
        return Entries.joined(parts[::-1])

    def _back(self, bucket: int, first: int, last: int, number: int, block: int) -> Iterator[tuple[int, int, int]]:
        """The (epoch, block, place in the stream where it begins) that have a part of it, from the last to the first."""
        while True:
            seen = self.epoch(number).seen[:, bucket]
            begin = int(seen[block])
            if begin < min(last, int(seen[block + 1])):
                yield number, block, begin
            if begin <= first:
                return
            if int(seen[0]) >= begin:
                number = self._epoch_with(begin - 1, lambda every: int(every[bucket]))
                seen = self.epoch(number).seen[:, bucket]
            block = int(np.searchsorted(seen, begin, side="left")) - 1  # the last block with fewer before it
