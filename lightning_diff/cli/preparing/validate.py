"""prepare.py data=validate: the account of a set before any training, and repaired shards on request."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ...config.errors import ConfigError
from ...config.paths import check_writable
from ...config.schema import Config
from ...data.account.reasons import account, remarked
from ...data.account.repair import is_repair, repair
from ...data.index import Index
from ...data.sources.base import meant_by
from ...data.sources.shards import Shards
from ...data.survey import Survey
from ...pipeline.data import prepare_data
from ...ranks import say
from ...strings import counted
from .preview import write_left_out


def kind_of(source: str) -> str:
    """The choice of data= that reads a source. Raises ConfigError if there is no source."""
    from ...data.tabular.rows import ENDINGS

    if not source:
        raise ConfigError("data=validate: say which set, source=FOLDER, a pattern of shards, or a table")
    kind, _ = meant_by(source)
    if kind == "shards" and source.lower().endswith(ENDINGS):
        return "table"
    if kind == "folder" and any(name.lower().endswith(".tar") for name in os.listdir(Path(source).expanduser())):
        return "shards"
    return kind


def validate(config: Config, to: str) -> None:
    """Read a set through, and say what of it can be used and what cannot, by reason. With `to`, a folder, write left-out.csv and
    repaired shards there. Raises ConfigError."""
    folder = Path(to).expanduser() if to else None
    if folder is not None and not isinstance(config.data, Shards):
        raise ConfigError(f"repair={to}: only shards are repaired; prepare.py data={config.data.kind} writes shards")
    if folder is not None and folder.is_dir() and not is_repair(folder):
        raise ConfigError(f"repair={to}: it is there already; give another name, or delete it")
    if folder is not None:
        check_writable(f"repair={to}", folder)
    found = prepare_data(config)
    splits = list(found.splits.values())
    for line in [*account(sum(map(len, splits)), found.left), *remarked(splits)]:
        say(line)
    if folder is not None:
        index = _joined(splits)
        anew, whole = repair(index, found.left, folder)  # it says first whose folder this is
        write_left_out(found, folder / "left-out.csv")
        say(
            f"{folder}: {counted(anew, 'shard')} written anew, {whole:,} whole and linked; left-out.csv names what is not in them"
        )


def _joined(splits: list[Index]) -> Index:
    """All samples, in the order in which they lie in the shards."""
    spans = np.concatenate([one.spans for one in splits])
    order = np.lexsort([spans[:, 1], spans[:, 0]])
    facts = Survey.joined([one.facts for one in splits]).select(order)
    return Index(splits[0].shards, spans[order], facts, splits[0].how)
