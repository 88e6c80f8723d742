"""Fetching ahead: while shards are read, a thread fetches those that come next."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import tee
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Sampler

from ...config.errors import ConfigError
from ...locks import Held
from .carried import Carried, carried_of
from .shard import RemoteShard

if TYPE_CHECKING:
    from ..index import Index

log = logging.getLogger(__name__)
SHARE = 0.75  # of the cache that may be fetched ahead; the rest is what other processes still read
FURTHEST = 4096  # batches
EACH = 8  # batches that are looked at for each batch that is given


class Thread:
    """One thread of this process that fetches shards in the order in which they are wanted."""

    def __init__(self) -> None:
        self.wanted: deque[RemoteShard] = deque()
        self.some = threading.Event()
        threading.Thread(target=self._work, daemon=True, name="fetch-ahead").start()

    def want(self, shards: Iterable[RemoteShard]) -> None:
        self.wanted.extend(shards)
        self.some.set()

    def _work(self) -> None:
        while self.some.wait():
            self.some.clear()
            while self.wanted:
                shard = self.wanted.popleft()
                try:
                    shard.cache.fetch(shard.url, shard.head, wait=False)
                except Held:  # another process fetches it
                    pass
                except (ConfigError, OSError) as e:  # who reads the shard says so
                    log.debug("%s: not fetched ahead: %s", shard, e)


_threads: dict[int, Thread] = {}


def fetch_ahead(shards: Sequence[Any], first: int, count: int = 1) -> None:
    """Begin to fetch `count` of the shards, from number `first` on, those that are remote and not there. Returns at once."""
    some = [one for one in shards[first : first + count] if isinstance(one, RemoteShard)]
    if some:
        _thread().want(some)


def _thread() -> Thread:
    """The thread of this process. A forked process gets another one."""
    if os.getpid() not in _threads:
        _threads.clear()
        _threads[os.getpid()] = Thread()
    return _threads[os.getpid()]


class Ahead(Sampler[Any]):
    """Batches of another sampler, the same ones in the same order. While they are given, the shards of the batches behind them
    are fetched, as far as they have room in the cache. Without remote shards it does nothing."""

    def __init__(self, batches: Sampler[Any], index: Index | None) -> None:
        self.batches, self.index = batches, index

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if self.index is None or not any(isinstance(shard, RemoteShard) for shard in self.index.shards):
            yield from self.batches
            return
        given, looked_at = tee(self.batches)  # each batch is computed once
        window = Window(looked_at, self.index, carried_of(getattr(self.batches, "order", None), self.index))
        for batch in given:
            window.step()
            yield batch


class Window:
    """The shards of the batches from the current one up to one further on. `step` moves it."""

    def __init__(self, batches: Iterator[Any], index: Index, carried: Carried | None = None) -> None:
        self.batches, self.index, self.carried = batches, index, carried
        self.inside: deque[list[int]] = deque()  # shards of each batch
        self.uses: Counter[int] = Counter()
        self.next: list[int] | None = None
        shards: Sequence[Any] = index.shards
        self.most = SHARE * min((s.cache.most for s in shards if isinstance(s, RemoteShard)), default=0)
        self.bytes = 0

    def step(self) -> None:
        """Go on by one batch: forget the one before, look at a few more."""
        if self.inside:
            for number in self.inside.popleft():
                self.uses[number] -= 1
                if not self.uses[number]:
                    del self.uses[number]
                    self.bytes -= self._size(number)
        for _ in range(EACH):
            if not self._extend():
                return

    def _extend(self) -> bool:
        if len(self.inside) >= FURTHEST:
            return False
        if self.next is None:
            with suppress(StopIteration):
                places = next(self.batches)
                samples = [place[1] for place in places]
                if self.carried:
                    samples = self.carried.others(places[0][0] // self.carried.order.batch, samples)
                self.next = np.unique(self.index.shards_of(samples)).tolist()
            if self.next is None:
                return False
        new = [number for number in self.next if number not in self.uses]
        size = sum(map(self._size, new))
        if self.inside and self.bytes + size > self.most:
            return False
        self.bytes += size
        self.uses.update(self.next)
        self.inside.append(self.next)
        self.next = None
        for number in new:
            fetch_ahead(self.index.shards, number)
        return True

    def _size(self, number: int) -> int:
        shard: Any = self.index.shards[number]
        return shard.head.size if isinstance(shard, RemoteShard) else 0
