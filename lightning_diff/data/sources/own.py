"""The base class of the sources that read a user's own pictures: a folder, and shards."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.errors import ConfigError
from ...config.fields import between, one_of, path
from ..sample import LeftOut, lost, told
from ..shards import Progress, digest
from .base import Prepared, Source

if TYPE_CHECKING:
    from ..index import Index


@dataclass(frozen=True, kw_only=True)
class OwnPictures(Source):
    """Your pictures, from `source`. Paths that name a split (train/, val/, test-0001.tar) are honoured. If none does, `test`
    pictures are kept for testing; with 0 the training pictures are used to measure a model. `captions` says whether a text is
    one caption (whole) or has one on each line (lines). `max_bad` is the share of samples that may be left out. `truncated`
    says whether a picture without its last bytes is used (use) or left out (skip)."""

    source: str = path()
    test: int = between(0, 0, 10**6)
    captions: str = one_of("whole", "whole", "lines")
    max_bad: float = between(1.0, 0, 1)
    truncated: str = one_of("use", "use", "skip")

    @property
    def drawn(self) -> bool:
        return False

    @property
    def words(self) -> str:
        return f"data.source={self.source}"

    @property
    def command(self) -> list[str]:
        return [f"data={self.kind}", f"source={shlex.quote(self.source)}"]

    def gathered(self, cache: Path, progress: Progress | None = None) -> tuple[Index, Sequence[LeftOut]]:
        """All samples, and what is left out. Raises ConfigError."""
        raise NotImplementedError

    def identity(self, cache: Path) -> str:
        """It follows from the contents of the training pictures and their captions, whatever their places and names."""
        train = self.prepare(cache).splits["train"].facts
        first, hexes = train.first_caption.tolist(), (train.pictures.tobytes().hex(), train.captions.tobytes().hex())
        contents = sorted(
            hexes[0][32 * i : 32 * i + 32] + hexes[1][32 * first[i] : 32 * first[i + 1]]
            for i in range(len(train.pictures))
        )
        return f"{self.kind}-{digest(contents)}-{self.image_size}px"

    def prepare(self, cache: Path, progress: Progress | None = None) -> Prepared:
        from ..incoming.splits import split

        index, left = self.gathered(cache, progress)
        bad, every = lost(left), lost(left) + len(index)
        if bad > self.max_bad * every:
            raise ConfigError(
                f"{self.words}: {bad:,} of {every:,} samples cannot be used, more than data.max_bad={self.max_bad:g} "
                f"allows: {told(left)}"
            )
        made = split(index.facts, self.test, self.words)
        found = {name: index.select(rows) for name, rows in (("train", made.train), ("test", made.test)) if len(rows)}
        return Prepared(found, made.said, left)

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        if not self.source:
            yield f"data={self.kind}: say where the pictures are, data.source=PATH"
        yield from super().conflicts(task, evaluation)
        if 0 < self.test < 4 and task == "diffusion" and evaluation.enabled:
            yield (
                f"data.test={self.test}: the sweep needs at least 4 test pictures, or 0, which measures with the training's"
            )
