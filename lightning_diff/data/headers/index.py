"""An index of a set that is too large to be read through: it knows of the samples what their headers and captions say.

Each shard has a sidecar file in the cache. Processes share the shards that are missing, one at a time, so that a killed process
loses one shard at most, and an added shard is the only one that is read. The index itself holds numbers of each shard in
memory; what it knows of a sample lies in memory-mapped files, of which few are open.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...config.errors import ConfigError
from ...files import open_files
from ...locks import shared
from ..incoming.tars import BLOCK
from ..index import Index, ShardReader
from ..order import FullOrder, Order
from ..ordering.buckets import Shape, nearest_shapes
from ..ordering.ordering import Ordering
from ..remote.ahead import fetch_ahead
from ..sample import LeftOut, told
from ..survey import Reading, Told
from .order import HeaderOrder
from .read import read_shard, sum_of
from .sidecar import Described, Sidecar, described, sidecar_places, write_sidecar

if TYPE_CHECKING:
    from ..ordering.weights import Sets


class HeaderIndex(Index):
    """Samples of shards, numbered shard by shard. `known`: what the sidecars say, which are the files `places`. `first` int64
    [S + 1]: the number of the first sample of each shard."""

    read_through = False

    def __init__(
        self,
        shards: list[Path],
        places: list[Path],
        known: list[Described],
        how: Reading,
        sets: Sets | None = None,
    ) -> None:
        self.shards, self.places, self.known, self.how, self.sets = shards, places, known, how, sets
        self.first = np.concatenate([[0], np.cumsum([one.count for one in known], dtype=np.int64)])
        self._open: OrderedDict[int, Sidecar] = OrderedDict()
        self._checked: set[int] = set()
        self._most = open_files()

    def __len__(self) -> int:
        return int(self.first[-1])

    def __repr__(self) -> str:
        return f"HeaderIndex({len(self)} samples in {len(self.shards)} shards)"

    def __getattr__(self, name: str) -> Any:
        if name in ("spans", "facts", "first_caption"):
            raise ConfigError(
                f"data.check=headers: this needs what is known when all pictures are read through ({name}); "
                "give data.check=pictures"
            )
        raise AttributeError(name)

    @property
    def left(self) -> list[LeftOut]:
        return [one for said in self.known for one in said.left]

    def part(self, shard: int) -> Sidecar:
        """The sidecar of a shard. Raises ConfigError if it is damaged."""
        if shard not in self._open:
            while len(self._open) >= self._most:
                self._open.popitem(last=False)
            self._open[shard] = Sidecar(self.places[shard], self.known[shard], shard in self._checked)
            self._checked.add(shard)
        self._open.move_to_end(shard)
        return self._open[shard]

    def parts(self) -> Iterator[Mapping[str, np.ndarray]]:
        return (self.part(shard).columns for shard in range(len(self.shards)))

    def at(self, i: int) -> tuple[int, int]:
        """(shard of sample i, its row there)."""
        shard = int(np.searchsorted(self.first, i, side="right")) - 1
        return shard, i - int(self.first[shard])

    def name(self, i: int) -> str:
        shard, row = self.at(i)
        return self.part(shard).key(row)

    def shards_of(self, samples: Sequence[int]) -> np.ndarray:
        return np.searchsorted(self.first, samples, side="right") - 1

    def span(self, i: int) -> list[int]:
        shard, row = self.at(i)
        part = self.part(shard)
        places, lengths = part["places"][row].tolist(), part["lengths"][row].tolist()
        return [shard, *(n for place, long in zip(places, lengths, strict=True) for n in (place * BLOCK, long))]

    def reader(self) -> ShardReader:
        return HeaderReader(self)

    def of_shards(self, some: Sequence[int]) -> HeaderIndex:
        """The index of these shards alone."""
        sets = self.sets and replace(self.sets, of=self.sets.of[np.asarray(some, np.int64)])
        shards, places = [self.shards[i] for i in some], [self.places[i] for i in some]
        return HeaderIndex(shards, places, [self.known[i] for i in some], self.how, sets)

    def contents(self) -> str:
        digests = sorted(one.digest for one in self.known)
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:12]

    def fingerprints(self) -> tuple[str, str]:
        found = hashlib.sha256("".join(one.digest for one in self.known).encode()).hexdigest()[:16]
        return found, found

    def shapes(self, shapes: Sequence[Shape] | None) -> Shapes | None:
        return Shapes(self, shapes) if shapes else None

    def order(self, ordering: Ordering, batch: int, seed: int, buckets: Any = None) -> Order:
        if buckets is None and self.sets is None and not ordering.in_blocks(len(self)):
            return FullOrder(len(self), batch, seed)
        counts = np.diff(self.first)[:, None] if buckets is None else buckets.counts()
        rows = None if buckets is None else buckets.rows
        return HeaderOrder(counts, self.first, rows, batch, seed, ordering.block, self.sets)


class Shapes:
    """The bucket of each sample, computed from its shard's widths and heights when it is asked for."""

    def __init__(self, index: HeaderIndex, shapes: Sequence[Shape]) -> None:
        self.index, self.all = index, shapes
        self.of = lru_cache(32)(self._of)
        self.rows = lru_cache(256)(self._rows)

    def __getitem__(self, i: int) -> int:
        shard, row = self.index.at(i)
        return int(self.of(shard)[row])

    def counts(self) -> np.ndarray:
        """int64 [S, K]."""
        many = len(self.all)
        found = [np.bincount(self._of(shard), minlength=many) for shard in range(len(self.index.shards))]
        return np.stack(found)

    def _of(self, shard: int) -> np.ndarray:
        return nearest_shapes(self.index.part(shard)["sizes"], self.all).astype(np.uint8)

    def _rows(self, shard: int, bucket: int) -> np.ndarray:
        """int64: the rows of a shard that are of a bucket."""
        return np.flatnonzero(self.of(shard) == bucket)


class HeaderReader(ShardReader):
    """Reads members. The captions of a sample are compared with what they were; its picture is not."""

    index: HeaderIndex

    def _check(self, i: int, picture: bytes | None, captions: Sequence[str] | None) -> None:
        shard, row = self.index.at(i)
        if captions is not None and sum_of(captions) != int(self.index.part(shard)["sums"][row]):
            raise self.changed(i)

    def changed(self, i: int) -> ConfigError:
        """Also forgets the shard: its size and time did not change, so nothing else would have it read anew."""
        self.index.places[self.index.at(i)[0]].unlink(missing_ok=True)
        return super().changed(i)


def header_index(
    shards: Sequence[Path],
    cache: Path,
    how: Reading,
    told_so_far: Told = lambda done, total: None,
    sets: Sets | None = None,
) -> HeaderIndex:
    """The index of these shards, whose sidecars lie in `cache`. Processes that want the same set share what is missing. Raises
    ConfigError if there is no usable sample."""
    places = sidecar_places(shards, cache, how.lines)
    names = [place.name for place in places]
    known = [described(place, shard) for place, shard in zip(places, shards, strict=True)]
    while missing := [i for i, one in enumerate(known) if one is None]:
        # All sets of the cache share one lock file, so that no two processes read the same shard, whatever their sets are.
        for i in shared(cache / "headers" / "shards.lock", len(places), lambda i: places[i].is_file(), names=names):
            fetch_ahead(shards, i + 1)
            write_sidecar(places[i], read_shard(shards[i], how.lines), shards[i])
            told_so_far(i + 1, len(places))
        for i in missing:
            known[i] = described(places[i], shards[i])
    found = HeaderIndex(list(shards), places, [one for one in known if one], how, sets)
    if not len(found):
        said = told(found.left) or "nothing in them"
        raise ConfigError(f"no usable sample in {len(shards)} shards ({shards[0] if shards else 'none'}, ...): {said}")
    return found
