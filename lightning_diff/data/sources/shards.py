"""Existing WebDataset shards as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.registry import choice
from ..sample import lost
from ..shards import Progress, is_remote
from .base import Glimpse, Prepared
from .own import OwnPictures

if TYPE_CHECKING:
    from ..index import Index
    from ..sample import LeftOut
    from ..survey import Reading


@choice("data", "shards")
class Shards(OwnPictures):
    """WebDataset shards, as img2dataset writes them. `source` is a folder, a file, or a pattern such as
    set/{000..012}.tar or set/train-*.tar. The caption of KEY.jpg is KEY.txt, KEY.caption, KEY.jpg.txt or KEY.json beside it."""

    @property
    def reading(self) -> Reading:
        from ..survey import Reading

        return Reading(lines=self.captions == "lines", decode=True, truncated=self.truncated == "use")

    def gathered(self, cache: Path, progress: Progress | None = None) -> tuple[Index, Sequence[LeftOut]]:
        from ..incoming.walk import find_shards
        from ..index import build_index

        shards, left = find_shards(self.source)

        def told(done: float, total: float) -> None:
            if progress:
                progress("shards", done, total)

        index = build_index(shards, cache, self.reading, told)
        return index, [*left, *index.left]

    def prepared(self, cache: Path) -> Prepared | None:
        from ..incoming.walk import find_shards
        from ..survey import set_place, survey_place

        shards, _ = find_shards(self.source)
        kept = [survey_place(path, cache, self.reading) for path in shards]
        return self.prepare(cache) if set_place(kept).is_file() else None

    def glimpse(self, scratch: Path, count: int) -> Glimpse:
        from ..incoming.walk import find_shards
        from ..survey import survey_set

        shards, left = find_shards(self.source)
        some = shards[:: max(1, len(shards) // count)]
        facts = survey_set(some, scratch, self.reading)
        good, bad = len(facts.spans), lost(facts.left)
        said = f"{good} pictures in {len(some)} of {len(shards)} shards; all will be read through first"
        return Glimpse(said, good * len(shards) // len(some), good + bad, bad, [*left, *facts.left])

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        yield from super().conflicts(task, evaluation)
        if is_remote(self.source):
            yield f"{self.words}: only local paths are read; nothing from outside is executed"
        elif not set("{*?[") & set(self.source) and not os.path.exists(self.source):
            yield f"{self.words}: no such file or folder"
