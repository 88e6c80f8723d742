"""The samples that a block leaves to the next one. Their bytes are kept in the cache of shards, so that a cache of two blocks
fetches each shard once in an epoch.

A file has the members of some samples of one shard, one behind another. Which samples these are, and where they lie, follows
from the order and the index, so that any process of a node may write the file or read it. Whatever is not there (after a fresh
start) is read from the shard."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.errors import ConfigError
from .shard import RemoteShard
from .transport import Head

if TYPE_CHECKING:
    from ..index import Index
    from ..order import Order
    from ..ordering.ordering import ShardOrder

ByShard = dict[int, list[int]]  # the numbers of samples, by the number of their shard
Block = tuple[int, int]  # epoch, and block in it


class Carried:
    """What is carried into the block of the batch that is read, and out of it. `at` goes to the block of a step."""

    def __init__(self, order: ShardOrder, index: Index) -> None:
        self.order, self.index = order, index
        self.block: Block | None = None
        self.first: Block | None = None
        self.into: ByShard = {}
        self.out: ByShard = {}

    def at(self, step: int) -> None:
        """The batch of this step is read next."""
        if not self._moved(step):
            return
        blocks = self.order.blocks
        assert self.block is not None
        self.out = self.order.carried(*blocks.next_block(*self.block))
        for shard, samples in self.into.items():
            with suppress(OSError):
                os.utime(self._place(shard, samples).with_suffix(".json"))  # it is used soon
        mine = set(blocks.shards_of(*self.block).tolist())
        for shard in [shard for shard in self.out if shard not in mine]:
            self.save(shard)  # they are carried on

    def others(self, step: int, samples: Sequence[int]) -> list[int]:
        """Those samples of a batch for which shards are read. In the first block all may be."""
        self._moved(step)
        if self.block == self.first:
            return list(samples)
        carried = {i for some in self.into.values() for i in some}
        return [i for i in samples if i not in carried]

    def members(self, i: int) -> list[bytes | None] | None:
        """The bytes of the picture, the text and the record of a sample that was carried into this block; None if they are not
        kept."""
        shard, *spans = self.index.span(i)
        samples = self.into.get(shard, [])
        if i not in samples or not isinstance(self.index.shards[shard], RemoteShard):
            return None
        at, found = sum(map(self._long, samples[: samples.index(i)])), list[bytes | None]()
        try:
            with self._place(shard, samples).open("rb") as file:
                for offset, size in zip(spans[::2], spans[1::2], strict=True):
                    found.append(os.pread(file.fileno(), size, at) if offset else None)
                    at += size if offset else 0
        except OSError:
            return None
        return found

    def save(self, shard: int, handle: int | None = None) -> None:
        """Keep the samples of a shard that this block leaves to the next one, if nobody did. `handle`: the shard's open file."""
        samples = self.out.pop(shard, [])
        found: Any = self.index.shards[shard]
        if not samples or not isinstance(found, RemoteShard):
            return
        parts = list[bytes]()
        for i in samples:
            kept = self.members(i)
            if kept is None and handle is None:
                return
            parts += [part for part in kept if part is not None] if kept is not None else self._read(i, handle)
        data = b"".join(parts)
        name, head = self._name(shard, samples)
        with suppress(ConfigError, OSError):
            if len(data) == head.size:
                found.cache.fetch(name, head, write=lambda part: part.write_bytes(data))

    def _moved(self, step: int) -> bool:
        block = self.order.blocks.block_of(step)
        if block == self.block:
            return False
        self.block, self.first = block, self.first or block
        self.into = self.order.carried(*block)
        return True

    def _long(self, i: int) -> int:
        """The bytes of a sample's members."""
        _, *spans = self.index.span(i)
        return sum(size for offset, size in zip(spans[::2], spans[1::2], strict=True) if offset)

    def _read(self, i: int, handle: Any) -> list[bytes]:
        _, *spans = self.index.span(i)
        return [os.pread(handle, size, offset) for offset, size in zip(spans[::2], spans[1::2], strict=True) if offset]

    def _name(self, shard: int, samples: Sequence[int]) -> tuple[str, Head]:
        """The name in the cache of these samples, which follows from where they lie, and their size."""
        found: Any = self.index.shards[shard]
        places = hashlib.sha256(json.dumps([self.index.span(i)[1:] for i in samples]).encode()).hexdigest()[:16]
        return f"{found.url}#{places}", Head(sum(map(self._long, samples)), found.head.tag)

    def _place(self, shard: int, samples: Sequence[int]) -> Path:
        found: Any = self.index.shards[shard]
        return found.cache.place(*self._name(shard, samples)) if isinstance(found, RemoteShard) else Path(os.devnull)


def carried_of(order: Order | None, index: Index) -> Carried | None:
    """None for an order without blocks, and for shards that are not fetched."""
    from ..ordering.ordering import ShardOrder

    shards: Sequence[Any] = index.shards
    fetched = isinstance(order, ShardOrder) and any(isinstance(shard, RemoteShard) for shard in shards)
    return Carried(order, index) if fetched else None  # type: ignore[arg-type]
