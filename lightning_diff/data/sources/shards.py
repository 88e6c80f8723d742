"""Existing WebDataset shards as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...config.fields import path
from ...config.registry import choice
from ..shards import Progress, digest, find_shards, is_remote
from .base import Source


@choice("data", "shards")
class Shards(Source):
    """WebDataset shards, as img2dataset writes them. `source` is a folder, a file, or a brace pattern such as
    set/{000..012}.tar. Shards whose name begins with "test" are kept for testing."""

    source: str = path()

    @property
    def words(self) -> str:
        return f"data.source={self.source}"

    def fingerprint(self) -> str:
        return digest([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in find_shards(self.source)])

    def prepared(self, cache: Path) -> dict[str, list[Path]]:
        shards = find_shards(self.source)
        tests = [p for p in shards if p.name.startswith("test")]
        return {"train": [p for p in shards if p not in tests] or shards, "test": tests}

    def prepare(self, cache: Path, progress: Progress | None = None) -> dict[str, list[Path]]:
        return self.prepared(cache)

    def conflicts(self, task: str, evaluation: Any) -> Iterator[str]:
        if not self.source:
            yield "data=shards: say where the pictures are, data.source=PATH"
        yield from super().conflicts(task, evaluation)
        if is_remote(self.source):
            yield f"{self.words}: only local paths are read; nothing from outside is executed"
        if "{" not in self.source and not os.path.exists(self.source):
            yield f"{self.words}: no such file or folder"
