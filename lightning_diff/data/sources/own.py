"""The base class of the sources that read a user's own pictures: a folder, and shards."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.errors import ConfigError
from ...config.fields import one_of, path, share
from ...strings import clean_text
from ..sample import LeftOut, lost, told
from ..shards import Progress
from .base import Prepared, Source

if TYPE_CHECKING:
    from ..index import Index


FEWEST = 4  # test pictures of a sweep
MOST_TESTED = 2048  # pictures that auto keeps for testing
_read: ContextVar[dict[Any, Prepared] | None] = ContextVar("_read", default=None)


@contextmanager
def read_once() -> Iterator[None]:
    """A context in which each set is read only once: a run uses the set that it began with, whatever happens to the files."""
    if _read.get() is not None:
        yield
        return
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


@dataclass(frozen=True, kw_only=True)
class OwnPictures(Source):
    """Your pictures, from `source`. Paths that name a split (train/, val/, test-0001.tar) are honoured. If none does, `test`
    pictures are kept for testing: auto is a tenth, at most 2,048 (none of fewer than 40); none measures a model with the
    pictures that it was trained on; otherwise a number. `captions` says whether a text is one caption (whole) or has one on
    each line (lines). `max_bad` is the share of samples that may be left out. `truncated` says whether a picture without its
    last bytes is used (use) or left out (skip). `fit` crop keeps the centre square of each picture. pad keeps the whole picture:
    its longer side becomes `image_size`, and what is free beside it gets the colour of its border (white if that has several)."""

    source: str = path()
    test: str = "auto"
    captions: str = one_of("whole", "whole", "lines")
    max_bad: float = share(1.0, "the samples")
    truncated: str = one_of("use", "use", "skip")
    fit: str = one_of("crop", "crop", "pad")

    @property
    def drawn(self) -> bool:
        return False

    @property
    def words(self) -> str:
        return f"data.source={self.source}"

    @property
    def command(self) -> list[str]:
        return [f"data={self.kind}", f"source={shlex.quote(self.source)}"]

    @property
    def root(self) -> str:
        """The folder that the places of the samples are below, empty if they are whole paths."""
        return ""

    def gathered(self, cache: Path, progress: Progress | None = None) -> tuple[Index, Sequence[LeftOut]]:
        """All samples, and what is left out. Raises ConfigError."""
        raise NotImplementedError

    def identity(self, cache: Path) -> str:
        """It follows from the contents of the training pictures and their captions, whatever their places and names."""
        contents = self.prepare(cache).splits["train"].contents()
        return f"{self.kind}-{contents}-{self.image_size}px{'-pad' if self.fit == 'pad' else ''}"

    def prepare(self, cache: Path, progress: Progress | None = None) -> Prepared:
        found = _read.get()
        if found is None:
            return self._prepare(cache, progress)
        key = repr(self), cache  # a source may have keys that are lists
        if key not in found:
            found[key] = self._prepare(cache, progress)
        return found[key]

    def _prepare(self, cache: Path, progress: Progress | None) -> Prepared:
        from ..incoming.splits import refuse_tests_alone, stored_split

        index, left = self.gathered(cache, progress)
        self.refuse_bad(left, len(index))
        gone = [one for one in left if lost([one])]
        refuse_tests_alone(index.facts.places.tolist(), gone, self.words, clean_text(self.root))
        sure = self.test not in ("auto", "none")
        made = stored_split(index.facts, self.asked(len(index)), self.words, cache, sure)
        found = {name: index.select(rows) for name, rows in (("train", made.train), ("test", made.test)) if len(rows)}
        return Prepared(found, made.said, left)

    def refuse_bad(self, left: Sequence[LeftOut], good: int) -> None:
        """Raises ConfigError if more samples are left out than `max_bad` allows."""
        bad, every = lost(left), lost(left) + good
        if bad > self.max_bad * every:
            raise ConfigError(
                f"{self.words}: {bad:,} of {every:,} samples cannot be used, more than data.max_bad={self.max_bad:g} "
                f"allows: {told(left)}"
            )

    def asked(self, count: int) -> int:
        """The number of test pictures to draw from `count`."""
        auto = min(MOST_TESTED, count // 10)
        number = {"auto": auto if auto >= FEWEST else 0, "none": 0}.get(self.test)
        return int(self.test) if number is None else number

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        if not self.source:
            yield f"data={self.kind}: say where the pictures are, data.source=PATH"
        yield from super().conflicts(task, evaluation)
        if self.test not in ("auto", "none") and not re.fullmatch("[0-9]{1,7}", self.test):
            yield f"data.test={self.test}: must be auto, none, or a number of pictures"
        elif 0 < self.asked(0) < FEWEST and task in ("diffusion", "aligndraw") and evaluation.enabled:
            yield (
                f"data.test={self.test}: the sweep needs at least {FEWEST} test pictures, or none, which measures with the "
                "training's"
            )
