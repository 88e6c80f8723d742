"""Existing WebDataset shards as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.errors import ConfigError
from ...config.fields import above, between, listed, one_of, path
from ...config.registry import choice
from ...strings import counted
from ..remote.urls import masked
from ..sample import lost
from ..shards import Progress, is_remote
from ..tabular.filters import fault_of
from .base import Glimpse, Prepared
from .own import OwnPictures

if TYPE_CHECKING:
    from ..index import Index
    from ..ordering.buckets import Framing
    from ..ordering.weights import Sets
    from ..sample import LeftOut
    from ..survey import Reading


@choice("data", "shards")
class Shards(OwnPictures):
    """WebDataset shards, as img2dataset writes them. `source` is a folder, a file, or a pattern such as
    set/{000..012}.tar or set/train-*.tar. The caption of KEY.jpg is KEY.txt, KEY.caption, KEY.jpg.txt or KEY.json beside it.
    A URL (https://HOST/set/{000..012}.tar, s3://BUCKET/set/*.tar, gs://BUCKET/set) is fetched, shard by shard, into
    `cache_folder` (empty: remote/ in cache=), which holds at most `cache_gb` GB of it. `filter` keeps the samples for which it
    holds, as in filter='width >= 256 and similarity > 0.28': width and height are the picture's, the others are fields of
    KEY.json. It is parsed, never executed.
    `mix` lists further sets as WEIGHT:PATH. A set of weight 0.5 is seen every second epoch, one of weight 3 three times in each;
    `source` has weight 1. `buckets` above 1 trains pictures in so many shapes from 1 : 2 to 2 : 1, with about as many pixels as
    the square; each batch has one shape. `crop` random cuts a picture at a place that its position in the training decides;
    `flip` mirrors half of them. These three need features=online (or auto).
    `check` pictures decodes every picture once before the training. headers reads headers and captions alone, which suits sets
    of millions; a picture that cannot be decoded is then named, and replaced by another one, in the training. It keeps whole
    shards for testing, and needs features=online (or auto)."""

    filter: str = ""
    cache_gb: float = above(100.0, 0)
    cache_folder: str = path()
    mix: list[str] = listed()
    buckets: int = between(1, 1, 99)
    crop: str = one_of("centre", "centre", "random")
    flip: bool = False
    check: str = one_of("pictures", "pictures", "headers")

    @property
    def reading(self) -> Reading:
        from ..survey import Reading

        return Reading(lines=self.captions == "lines", decode=True, truncated=self.truncated == "use")

    @property
    def shapes(self) -> Sequence[tuple[int, int]]:
        from ..ordering.buckets import shapes_of

        return shapes_of(self.image_size, self.buckets)

    @property
    def cuts(self) -> list[str]:
        """The keys that ask for other cuts than the square, as data.flip=true."""
        asked = {f"data.buckets={self.buckets}": self.buckets > 1, "data.crop=random": self.crop == "random"}
        return [words for words, given in {**asked, "data.flip=true": self.flip}.items() if given]

    @property
    def varied(self) -> str:
        return next(iter(self.cuts), "data.check=headers" if self.check == "headers" else "")

    def framing(self, seed: int) -> Framing | None:
        from ..ordering.buckets import Framing

        plain = self.buckets == 1 and self.crop == "centre" and not self.flip
        return None if plain else Framing(self.shapes, self.crop == "random", self.flip, seed)

    @property
    def words(self) -> str:
        return f"data.source={masked(self.source)}"

    def shards_of(self, source: str, words: str, cache: Path) -> tuple[list[Path], list[LeftOut]]:
        """The shards of one set, which `words` name, and what is left out. Raises ConfigError."""
        if is_remote(source):
            from ..remote.cache import NodeCache
            from ..remote.finding import remote_shards

            folder = Path(self.cache_folder) if self.cache_folder else cache / "remote"
            return remote_shards(source, NodeCache(folder, int(self.cache_gb * 1e9)), words), []
        from ..incoming.walk import find_shards

        return find_shards(source, words)

    def shards(self, cache: Path) -> tuple[list[Path], list[LeftOut], Sets | None]:
        """(the shards of all sets, what is left out, the sets if they are several). Raises ConfigError."""
        from fractions import Fraction

        import numpy as np

        from ..ordering.weights import Sets, weighted

        shards, left = self.shards_of(self.source, self.words, cache)
        if not self.mix:
            return shards, left, None
        names, weights, of = [self.source], [Fraction(1)], [0] * len(shards)
        for said in self.mix:
            weight, place = weighted(said)
            some, others = self.shards_of(place, f"data.mix={masked(said)}", cache)
            of += [len(names)] * len(some)
            names.append(place)
            weights.append(weight)
            shards += some
            left += others
        real = [str(shard.resolve()) for shard in shards]
        if len(set(real)) < len(real):
            twice = next(shards[i] for i, place in enumerate(real) if place in real[:i])
            raise ConfigError(f"data.mix: {twice} is in two of the sets; name each shard in one")
        return shards, left, Sets(names, weights, np.array(of))

    def gathered(self, cache: Path, progress: Progress | None = None) -> tuple[Index, Sequence[LeftOut]]:
        from dataclasses import replace

        from ..index import build_index

        shards, left, sets = self.shards(cache)

        def told(done: float, total: float) -> None:
            if progress:
                progress("shards", done, total)

        index = build_index(shards, cache, self.reading, told)
        left = [*left, *index.left]
        if self.filter:
            from ..tabular.selected import selected

            index, more = selected(index, self.filter, self.words)
            left += more
        return replace(index, sets=sets), left

    def _prepare(self, cache: Path, progress: Progress | None) -> Prepared:
        if self.check != "headers":
            return super()._prepare(cache, progress)
        from ..headers.prepared import prepared_headers

        shards, left, sets = self.shards(cache)

        def told(done: float, total: float) -> None:
            if progress:
                progress("shards", done, total)

        found = prepared_headers(shards, left, sets, cache, self.reading, self.asked, self.words, told)
        self.refuse_bad(found.left, sum(map(len, found.splits.values())))
        return found

    def prepared(self, cache: Path) -> Prepared | None:
        from ..survey import set_place, survey_place

        shards, _, _ = self.shards(cache)
        if self.check == "headers":
            from ..headers.sidecar import sidecar_places

            known = all(place.is_file() for place in sidecar_places(shards, cache, self.reading.lines))
            return self.prepare(cache) if known else None
        kept = [survey_place(path, cache, self.reading) for path in shards]
        return self.prepare(cache) if set_place(kept, shards).is_file() else None

    def glimpse(self, scratch: Path, count: int) -> Glimpse:
        from ..survey import survey_set

        shards, left, _ = self.shards(scratch)
        some = shards[:: max(1, len(shards) // count)]
        facts = survey_set(some, scratch, self.reading)
        good, bad = len(facts.spans), lost(facts.left)
        said = f"{counted(good, 'picture')} in {len(some)} of {counted(len(shards), 'shard')}; all will be read through first"
        return Glimpse(said, good * len(shards) // len(some), good + bad, bad, [*left, *facts.left])

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        yield from super().conflicts(task, evaluation)
        if fault := fault_of(self.filter):
            yield f"data.filter={self.filter}: {fault}"
        sources = [(self.words, self.source)]
        from ..ordering.weights import weighted

        for said in self.mix:
            try:
                sources.append((f"data.mix={masked(said)}", weighted(said)[1]))
            except ConfigError as e:
                yield str(e)
        for words, source in sources:
            yield from _missing(words, source)
        if not any(is_remote(source) for _, source in sources):
            for key, value, default in (
                ("cache_gb", f"{self.cache_gb:g}", "100"),
                ("cache_folder", self.cache_folder, ""),
            ):
                if value != default:
                    yield f"data.{key}={value}: would be ignored; it belongs to shards that are fetched, data.source=https://..."
        for words in self.cuts:
            if self.features not in ("online", "auto"):
                yield f"{words}: needs data.features=online, because cached features are of one cut of each picture"
            if self.fit == "pad":
                yield f"{words}: not with data.fit=pad, which keeps the whole picture"
        if self.check == "headers":
            if self.features not in ("online", "auto"):
                yield "data.check=headers: needs data.features=online, because cached features are found by what pictures hold"
            if self.filter:
                yield "data.check=headers: not with data.filter, which reads all records; give data.check=pictures"
            if self.test == "none" and evaluation.enabled:
                yield (
                    "data.test=none: with data.check=headers there is nothing to measure with; leave it out, or give "
                    "evaluation.enabled=false"
                )
        if self.buckets % 2 == 0:
            yield f"data.buckets={self.buckets}: must be odd, so that the square is one of the shapes"
        if self.order == "full" and (self.mix or self.buckets > 1):
            yield f"data.order=full: not with data.{'mix' if self.mix else 'buckets'}, which needs blocks (or auto)"


def _missing(words: str, source: str) -> Iterator[str]:
    """Why a set cannot be there, without asking anybody."""
    if is_remote(source):
        from ..remote.finding import faults

        yield from (f"{words}: {fault}" for fault in faults(source))
    elif source and not set("{*?[") & set(source) and not os.path.exists(source):
        yield f"{words}: no such file or folder"
