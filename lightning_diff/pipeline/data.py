"""The data of a run: prepared with a progress bar, told, and checked before anything is trained."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..config.errors import ConfigError
from ..config.schema import Config
from ..data.sources.base import Prepared
from ..data.summary import lines_of
from ..ranks import console, first_rank, say

FEWEST = 4  # pictures to measure with


def prepare_data(config: Config) -> Prepared:
    """Make the shards if they are missing, or read the given ones through. Shows the progress, and says what the set holds.
    Raises ConfigError."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}")
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not first_rank()) as bar:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: float, total: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        found = config.data.prepare(Path(config.cache), told)
    for line in lines_of(found, config.data.image_size):
        say(line)
    return found


def check_enough(found: Prepared, config: Config) -> None:
    """Raises ConfigError if a sweep is asked for, and there are too few pictures to measure with."""
    split = "test" if "test" in found.splits else "train"
    count = len(found.splits[split])
    if config.task == "diffusion" and config.evaluation.enabled and count < FEWEST:
        raise ConfigError(
            f"{config.data.words}: {count} {split} pictures are too few to measure with, {FEWEST} are needed; "
            "add some, or evaluation.enabled=false"
        )
