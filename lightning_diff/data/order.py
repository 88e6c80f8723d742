"""The order of samples: a pure function of (seed, step, batch), independent of ranks, workers and restarts (law 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from torch.utils.data import Sampler

Place = tuple[int, int, int]  # position in the stream, number of the sample, how often it was listed before


class Order(Protocol):
    """Which samples make up the global batch of each step."""

    @property
    def batch(self) -> int:
        """The samples of a step, over all ranks."""
        ...

    def places(self, step: int, rank: int = 0, ranks: int = 1) -> list[Place]:
        """The share of a rank in the batch of a step. Its positions are those from step x batch on."""
        ...


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


def share(step: int, batch: int, rank: int, ranks: int) -> range:
    """The positions of a rank's share in the batch of a step."""
    first = step * batch + rank * (batch // ranks)
    return range(first, first + batch // ranks)


@dataclass(frozen=True)
class FullOrder:
    """Each epoch is a permutation of all `count` samples, in the memory of that permutation. A batch may hold the end of one
    epoch and the start of the next."""

    count: int
    batch: int
    seed: int

    def places(self, step: int, rank: int = 0, ranks: int = 1) -> list[Place]:
        some = share(step, self.batch, rank, ranks)
        return [(p, sample_at(p, self.count, self.seed), p // self.count) for p in some]


class Batches(Sampler[list[Place]]):
    """The places of one rank, a list for each step from `start` to `steps`.

    The length counts all steps of the run, because Lightning counts the batches before a restart as fetched."""

    def __init__(self, order: Order, steps: int, start: int = 0, rank: int = 0, ranks: int = 1) -> None:
        self.order, self.steps, self.start, self.rank, self.ranks = order, steps, start, rank, ranks

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Place]]:
        for step in range(self.start, self.steps):
            yield self.order.places(step, self.rank, self.ranks)
