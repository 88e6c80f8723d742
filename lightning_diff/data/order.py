"""The order of samples: a pure function of (seed, step, batch), independent of ranks, workers and restarts (law 1)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler


@lru_cache(maxsize=2)
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the samples in an epoch: a permutation of range(count)."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(count)


def sample_at(position: int, count: int, seed: int) -> int:
    """The number of the sample at a position in the endless stream of epochs."""
    epoch, place = divmod(position, count)
    return int(epoch_order(count, seed, epoch)[place])


def sampled(contents: np.ndarray, seed: int) -> np.ndarray:
    """A permutation of N samples that depends on their contents (uint8 [N, D], digests) and a seed, not on their order: its first
    n are a random sample of the set, the same one in any order of the files."""
    by_content = np.lexsort(contents.T[::-1])
    return by_content[np.random.Generator(np.random.Philox(key=[seed, len(contents)])).permutation(len(contents))]


class Batches(Sampler[list[tuple[int, int]]]):
    """The batches of (position, sample) for one rank, from step `start` to `steps`.

    Position p of the stream belongs to step p // batch, and each rank takes its slice of the global batch. The length
    counts all steps of the run, because Lightning counts the batches before a restart as fetched.
    """

    def __init__(
        self, count: int, batch: int, steps: int, seed: int, start: int = 0, rank: int = 0, ranks: int = 1
    ) -> None:
        self.count, self.batch, self.steps, self.seed = count, batch, steps, seed
        self.start, self.rank, self.share = start, rank, batch // ranks

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.steps):
            first = step * self.batch + self.rank * self.share
            yield [(p, sample_at(p, self.count, self.seed)) for p in range(first, first + self.share)]
