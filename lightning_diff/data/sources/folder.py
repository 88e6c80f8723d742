"""A user's folder of captioned pictures as a source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...config.fields import between, path
from ...config.registry import choice
from ..sample import Sample
from .base import SampleSource


@choice("data", "folder")
class Folder(SampleSource):
    """Your pictures: PICTURE.png (jpg, jpeg, webp) beside its caption PICTURE.txt, anywhere in the folder `source`.

    `test` pictures, spread evenly through the folder, are kept for testing. With 0 the training pictures are used to
    measure a model.
    """

    source: str = path()
    test: int = between(0, 0, 10**6)

    @property
    def words(self) -> str:
        return f"data.source={self.source}"

    def fingerprint(self) -> str:
        from ..ingest import folder_fingerprint

        return folder_fingerprint(Path(self.source))

    def recipe(self) -> dict[str, Any]:
        return {**super().recipe(), "test": self.test}

    def files(self) -> list[Path]:
        from ..ingest import folder_pictures

        return folder_pictures(Path(self.source))

    def splits(self) -> Iterator[tuple[str, Iterable[Sample], int]]:
        """List the folder only once, so that no picture is in both splits."""
        from ..ingest import read_samples, split_files

        for split, paths in split_files(self.files(), self.test).items():
            yield split, read_samples(Path(self.source), paths, self.image_size), len(paths)

    def count(self, split: str) -> int:
        return next(count for name, _, count in self.splits() if name == split)

    def samples(self, split: str) -> Iterable[Sample]:
        return next(samples for name, samples, _ in self.splits() if name == split)

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        if not self.source:
            yield "data=folder: say where the pictures are, data.source=PATH"
        yield from super().conflicts(task, evaluation)
        if not os.path.isdir(self.source):
            yield f"data.source={self.source}: no such folder"
        if 0 < self.test < 4 and task == "diffusion" and evaluation.enabled:
            yield (
                f"data.test={self.test}: the sweep needs at least 4 test pictures, or 0, which measures with the training's"
            )
