"""The data of a run: prepared with a progress bar, told, and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..config.errors import ConfigError
from ..config.paths import check_writable
from ..config.schema import Config
from ..data.account.summary import lines_of, summary
from ..data.sources.base import Prepared
from ..data.sources.own import FEWEST
from ..progress import lines_told
from ..ranks import console, first_rank, say
from ..strings import counted

READS = ("diffusion", "contrastive")  # tasks that read captions
GLIMPSED = 10_000  # samples of a large set whose captions are looked at


def prepare_data(config: Config) -> Prepared:
    """Make the shards if they are missing, or read the given ones through. Shows the progress. Raises ConfigError."""
    if not Path(config.cache).is_dir():  # one that is there may be full already, and read-only
        check_writable(f"cache={config.cache}", Path(config.cache))
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}")
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not first_rank()) as bar:
        tasks: dict[str, TaskID] = {}
        line = lines_told()

        def told(what: str, done: float, total: float) -> None:
            line(what, done, total)
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        return config.data.prepare(Path(config.cache), told)


def say_data(found: Prepared, config: Config, event: Mapping[str, Any], told: set[str] | None = None) -> None:
    """Say what a set holds, but for the lines that are `told` already; `event` is what the record says of it."""
    told = set() if told is None else told
    for line in [*lines_of(found, config.data), *filter(None, [event["captions_cut"]])]:
        if line not in told:
            say(line)
        told.add(line)


def captions_cut(found: Prepared, config: Config) -> str:
    """How many of a user's captions are longer than the text encoder reads, in a line; empty if none is. Of a set that is not
    read through, some are looked at. Raises ConfigError."""
    if config.data.drawn or config.task not in READS:
        return ""
    captions = list[str]()
    for index in found.splits.values():
        reader, step = index.reader(), 1 if index.read_through else max(1, len(index) // GLIMPSED)
        captions += [one for i in range(0, len(index), step) for one in reader.captions(i)]
    return config.text.caption_lengths(captions).message()


def data_event(found: Prepared, config: Config) -> dict[str, Any]:
    """What the record says of the data."""
    return {**summary(found, config.data), "captions_cut": captions_cut(found, config)}


def check_enough(found: Prepared, config: Config) -> None:
    """Raises ConfigError if a sweep is asked for, and there are too few pictures to measure with."""
    split = "test" if "test" in found.splits else "train"
    count = len(found.splits[split])
    if config.generates and config.evaluation.enabled and count < FEWEST:
        raise ConfigError(
            f"{config.data.words}: {counted(count, f'{split} picture')} cannot be measured with, {FEWEST} are needed; "
            "add some, or evaluation.enabled=false"
        )
