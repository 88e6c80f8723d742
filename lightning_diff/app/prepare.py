"""prepare.py: pictures and captions to WebDataset shards."""

from __future__ import annotations

from pathlib import Path

from rich.progress import Progress

from ..config import Config
from ..data.index import build_index
from ..data.shards import identity, prepare
from .run import console, say


def prepare_data(config: Config) -> None:
    """Make (or find) the shards, and say where they are and what is in them."""
    with Progress(console=console, transient=True) as bar:
        tasks: dict[str, object] = {}

        def told(split: str, done: int, total: int) -> None:
            task = tasks.setdefault(split, bar.add_task(split, total=total))
            bar.update(task, completed=done)  # type: ignore[arg-type]

        splits = prepare(config.data, Path(config.cache), told)
    for split, shards in splits.items():
        if shards:
            index = build_index(shards, Path(config.cache))
            say(
                f"{split}: {len(index)} captioned pictures ({index.skipped} left out) in {len(shards)} shards, {shards[0].parent}"
            )
    say(f"data: {identity(config.data)}")
