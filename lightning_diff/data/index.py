"""An index of tar shards: the places of each sample's members, so that a sample can be read by its number.

WebDataset's own reader cannot resume and does not say which samples it lost: a bad header in the middle ends a shard
silently. Here each shard is read through once (survey.py), and what cannot be used is counted by reason.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..config.errors import ConfigError
from ..files import open_files
from ..strings import counted
from .incoming.captions import NoCaption, captions_of, record_of
from .incoming.texts import Texts
from .order import Order
from .ordering.buckets import Shape, nearest_shapes
from .ordering.ordering import Ordering
from .ordering.weights import Sets
from .remote.carried import Carried
from .remote.shard import open_shard
from .sample import MARK, MARKED, LeftOut, lost, told
from .survey import Reading, Survey, Told, digest16, survey_set


@dataclass
class Index:
    """Samples of shards, numbered. `spans` int64 [N, 7]: number of the shard, then offset and size (bytes) of picture, text
    and record (offset 0: none). `facts`: what the surveys say of the same samples. `left`: what is left out of the shards.
    `sets`: the sets that the shards belong to, if they are several."""

    shards: list[Path]
    spans: np.ndarray
    facts: Survey
    how: Reading = field(default_factory=Reading)
    sets: Sets | None = None
    read_through: ClassVar[bool] = True  # every picture was decoded, or was made here

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def keys(self) -> Texts:
        return self.facts.keys

    @cached_property
    def first_caption(self) -> np.ndarray:
        return self.facts.first_caption

    @property
    def left(self) -> list[LeftOut]:
        return self.facts.left

    @property
    def skipped(self) -> int:
        """The number of samples that are left out."""
        return lost(self.left)

    def select(self, rows: np.ndarray) -> Index:
        """The index of these samples alone; it does not repeat what is left out."""
        return replace(self, spans=self.spans[rows], facts=self.facts.select(rows))

    def name(self, i: int) -> str:
        """The key of sample i."""
        return str(self.keys[i])

    def span(self, i: int) -> list[int]:
        """The row of `spans` of sample i."""
        return [int(v) for v in self.spans[i]]

    def shards_of(self, samples: Sequence[int]) -> np.ndarray:
        """int64 [B]: the numbers of the shards of these samples."""
        return self.spans[samples, 0]

    def reader(self) -> ShardReader:
        return ShardReader(self)

    def shapes(self, shapes: Sequence[Shape] | None) -> Any:
        """For each sample the nearest of the `shapes`, by its number; None without shapes."""
        return nearest_shapes(self.facts.sizes, shapes) if shapes else None

    def order(self, ordering: Ordering, batch: int, seed: int, buckets: Any = None) -> Order:
        """The order of the training in global batches. `buckets`: what `shapes` gives."""
        return ordering.of(self.spans[:, 0], len(self.shards), batch, seed, self.sets, buckets)

    def parts(self) -> Iterator[Mapping[str, np.ndarray]]:
        """What is known of the samples, part by part: `sizes`, `counts` and `remarks`, as in a Survey."""
        yield {name: getattr(self.facts, name) for name in ("sizes", "counts", "remarks")}

    def contents(self) -> str:
        """A hash of all pictures, each with its captions, whatever their order."""
        return self.facts.contents()

    def fingerprint(self) -> str:
        """A hash of the contents: the pictures and the captions, in their order."""
        return hashlib.sha256(self.facts.pictures.tobytes() + self.facts.captions.tobytes()).hexdigest()[:16]

    def fingerprints(self) -> tuple[str, str]:
        """Hashes of the pictures and of the captions, in their order."""
        counts = self.facts.counts.tobytes()
        pictures, captions = (
            hashlib.sha256(self.facts.pictures.tobytes()),
            hashlib.sha256(counts + self.facts.captions.tobytes()),
        )
        return pictures.hexdigest()[:16], captions.hexdigest()[:16]


class ShardReader:
    """Reads members with `os.pread`. It shares no file position, so every worker may use it."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.carried: Carried | None = None
        self._files: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._most = open_files()

    def __del__(self) -> None:
        for (process, _), handle in self._files.items():
            if process == os.getpid():
                os.close(handle)

    def read(self, i: int, turn: int = 0) -> tuple[bytes, str, dict[str, Any]]:
        """(picture bytes, caption, record) of sample i. If it has several captions, `turn` says which. What the record says
        counts only if this project wrote the shard."""
        picture, text, record = self.members(i, 0)
        captions = self._captions(i, text, record)
        self._check(i, picture or b"", captions)
        fields = record_of(record) if self.index.how.ours or MARK.encode() in (record or b"") else {}
        ours = self.index.how.ours or fields.get(MARK) == MARKED
        return picture or b"", captions[turn % len(captions)], fields if ours else {}

    def captions(self, i: int) -> list[str]:
        """All captions of sample i."""
        captions = self._captions(i, *self.members(i, 1))
        self._check(i, None, captions)
        return captions

    def _captions(self, i: int, text: bytes | None, record: bytes | None) -> list[str]:
        try:
            return captions_of(text, record, self.index.how.lines)[0]
        except NoCaption:  # it had one
            raise self.changed(i) from None

    def picture(self, i: int) -> bytes:
        """The picture's bytes."""
        picture = self.members(i, 0)[0] or b""
        self._check(i, picture, None)
        return picture

    def record(self, i: int) -> dict[str, Any]:
        """The record, as it is."""
        return record_of(self.members(i, 2)[0])

    def _check(self, i: int, picture: bytes | None, captions: Sequence[str] | None) -> None:
        """Raises ConfigError if a sample is another one than when its shard was read through. None is not checked."""
        facts, first = self.index.facts, self.index.first_caption
        if captions is not None:
            stored = facts.captions[first[i] : first[i + 1]].tobytes()
            if b"".join(digest16(caption.encode()) for caption in captions) != stored:
                raise self.changed(i)
        if picture is not None and digest16(picture) != facts.pictures[i].tobytes():
            raise self.changed(i)

    def changed(self, i: int) -> ConfigError:
        """What is said of a sample that is not as it was."""
        shard = self.index.shards[self.index.span(i)[0]]
        remedy = "delete it, and it is made again" if self.index.how.ours else "take it from a copy, or make it again"
        return ConfigError(f"{shard}: damaged: sample {self.index.name(i)} has changed since it was read; {remedy}")

    def members(self, i: int, first: int) -> list[bytes | None]:
        """The bytes of the picture, the text and the record, from number `first` on; None for a member that is not there."""
        shard, *spans = self.index.span(i)
        if self.carried and (kept := self.carried.members(i)):
            return kept[first:]
        handle = self._open(shard)
        if self.carried:
            self.carried.save(shard, handle)
        members = list(zip(spans[::2], spans[1::2], strict=True))[first:]
        return [os.pread(handle, size, offset) if offset else None for offset, size in members]

    def _open(self, shard: int) -> int:
        place = os.getpid(), shard
        if place not in self._files:
            while len(self._files) >= self._most:
                (process, _), handle = self._files.popitem(last=False)
                if process == os.getpid():
                    os.close(handle)
            mine = [(other, handle) for other, handle in self._files.items() if other[0] == os.getpid()]
            for other in [other for other, handle in mine if not os.fstat(handle).st_nlink]:
                os.close(self._files.pop(other))  # it was deleted from a cache: give its room back
            self._files[place] = open_shard(self.index.shards[shard])
        self._files.move_to_end(place)
        return self._files[place]


def build_index(
    shards: Sequence[Path], cache: Path, how: Reading | None = None, told_so_far: Told = lambda done, total: None
) -> Index:
    """The index of these shards. Their surveys are stored in `cache`. Raises ConfigError if there is no usable sample."""
    how = how or Reading()
    facts = survey_set(shards, cache, how, told_so_far)
    if not len(facts.spans):
        said = told(facts.left) or "nothing in them"
        raise ConfigError(
            f"no usable sample in {counted(len(shards), 'shard')} ({shards[0] if shards else 'none'}, ...): {said}"
        )
    return Index(list(shards), np.column_stack([facts.shards, facts.spans]).astype(np.int64), facts, how)
