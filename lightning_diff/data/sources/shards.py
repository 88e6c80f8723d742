"""Existing WebDataset shards as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.fields import above, path
from ...config.registry import choice
from ..remote.urls import masked
from ..sample import lost
from ..shards import Progress, is_remote
from ..tabular.filters import fault_of
from .base import Glimpse, Prepared
from .own import OwnPictures

if TYPE_CHECKING:
    from ..index import Index
    from ..sample import LeftOut
    from ..survey import Reading


@choice("data", "shards")
class Shards(OwnPictures):
    """WebDataset shards, as img2dataset writes them. `source` is a folder, a file, or a pattern such as
    set/{000..012}.tar or set/train-*.tar. The caption of KEY.jpg is KEY.txt, KEY.caption, KEY.jpg.txt or KEY.json beside it.
    A URL (https://HOST/set/{000..012}.tar, s3://BUCKET/set/*.tar, gs://BUCKET/set) is fetched, shard by shard, into
    `cache_folder` (empty: remote/ in cache=), which holds at most `cache_gb` GB of it. `filter` keeps the samples for which it
    holds, as in filter='width >= 256 and similarity > 0.28': width and height are the picture's, the others are fields of
    KEY.json. It is parsed, never executed."""

    filter: str = ""
    cache_gb: float = above(100.0, 0)
    cache_folder: str = path()

    @property
    def reading(self) -> Reading:
        from ..survey import Reading

        return Reading(lines=self.captions == "lines", decode=True, truncated=self.truncated == "use")

    @property
    def words(self) -> str:
        return f"data.source={masked(self.source)}"

    def shards(self, cache: Path) -> tuple[list[Path], list[LeftOut]]:
        """The shards, and what is left out. Raises ConfigError."""
        if is_remote(self.source):
            from ..remote.cache import NodeCache
            from ..remote.finding import remote_shards

            folder = Path(self.cache_folder) if self.cache_folder else cache / "remote"
            return remote_shards(self.source, NodeCache(folder, int(self.cache_gb * 1e9))), []
        from ..incoming.walk import find_shards

        return find_shards(self.source)

    def gathered(self, cache: Path, progress: Progress | None = None) -> tuple[Index, Sequence[LeftOut]]:
        from ..index import build_index

        shards, left = self.shards(cache)

        def told(done: float, total: float) -> None:
            if progress:
                progress("shards", done, total)

        index = build_index(shards, cache, self.reading, told)
        left = [*left, *index.left]
        if self.filter:
            from ..tabular.selected import selected

            index, more = selected(index, self.filter, self.words)
            left += more
        return index, left

    def prepared(self, cache: Path) -> Prepared | None:
        from ..survey import set_place, survey_place

        shards, _ = self.shards(cache)
        kept = [survey_place(path, cache, self.reading) for path in shards]
        return self.prepare(cache) if set_place(kept).is_file() else None

    def glimpse(self, scratch: Path, count: int) -> Glimpse:
        from ..survey import survey_set

        shards, left = self.shards(scratch)
        some = shards[:: max(1, len(shards) // count)]
        facts = survey_set(some, scratch, self.reading)
        good, bad = len(facts.spans), lost(facts.left)
        said = f"{good} pictures in {len(some)} of {len(shards)} shards; all will be read through first"
        return Glimpse(said, good * len(shards) // len(some), good + bad, bad, [*left, *facts.left])

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        yield from super().conflicts(task, evaluation)
        if fault := fault_of(self.filter):
            yield f"data.filter={self.filter}: {fault}"
        if is_remote(self.source):
            from ..remote.finding import faults

            yield from (f"{self.words}: {fault}" for fault in faults(self.source))
            return
        for key, value, default in (("cache_gb", f"{self.cache_gb:g}", "100"), ("cache_folder", self.cache_folder, "")):
            if value != default:
                yield f"data.{key}={value}: would be ignored; it belongs to shards that are fetched, data.source=https://..."
        if not self.source:
            return
        if not set("{*?[") & set(self.source) and not os.path.exists(self.source):
            yield f"{self.words}: no such file or folder"
