"""The base class of synthetic data sets. Their pictures are drawn, so the true attributes of each are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from ...config.fields import between
from ..sample import Sample
from .base import SampleSource


@dataclass(frozen=True, kw_only=True)
class SyntheticSource(SampleSource):
    """Synthetic pictures. `train` and `test` are their numbers; another `seed` draws other pictures of the same kind.

    With `hold_out` the contents of test pictures never occur in training. Judges are trained without it: a judge that has
    never seen a content would score it too low."""

    train: int = between(16384, 1, 10**8)
    test: int = between(2048, 0, 10**6)
    seed: int = between(0, 0, 2**32 - 1)
    hold_out: bool = True

    version: ClassVar[int] = 1  # of the drawing code; another version draws other pictures

    def draw(self, split: str, index: int) -> Sample:
        """Sample `index` of a split: train, test, or all (contents of both splits, otherwise drawn as for train). A pure
        function: the same arguments give the same picture and captions."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        return f"v{self.version}"

    def recipe(self) -> dict[str, Any]:
        made_by = {**super().recipe(), "train": self.train, "test": self.test, "seed": self.seed}
        return made_by if self.hold_out else {**made_by, "hold_out": False}

    def count(self, split: str) -> int:
        return self.train if split == "train" else self.test

    def samples(self, split: str) -> Iterator[Sample]:
        drawn = "all" if split == "train" and not self.hold_out else split
        return (self.draw(drawn, index) for index in range(self.count(split)))

    def others(self, seed: int, hold_out: bool) -> Self:
        return replace(self, seed=self.seed + seed, hold_out=hold_out)

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        yield from super().conflicts(task, evaluation)
        if self.test < 64 and task in ("diffusion", "aligndraw") and evaluation.enabled:
            yield f"data.test={self.test}: the sweep needs at least 64 test captions, or evaluation.enabled=false"
