"""Repaired shards: of each shard in which something is wrong, a new one of its usable samples; the others are linked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...config.errors import ConfigError
from ...files import whole_file
from ...locks import shared
from ...strings import clean_text
from ..incoming.captions import COMMANDS, NOT_UTF8
from ..incoming.names import split_ending
from ..index import Index, ShardReader
from ..remote.shard import RemoteShard
from ..sample import HARMLESS, LeftOut
from ..shards import write_shard
from ..survey import set_place, survey_place

LOCK = ".repair-"  # the lock's name says of which shards, in which state, a folder is the repair


def is_repair(folder: Path) -> bool:
    """Whether a folder is empty, or that of a repair, which may have been stopped."""
    return not any(folder.iterdir()) or any(folder.glob(f"{LOCK}*"))


def names_of(shards: Sequence[Any]) -> list[str]:
    """A file name for each shard: its own, below the folder that all of them share. Raises ConfigError if two have one name."""
    places = [str(shard) if isinstance(shard, RemoteShard) else os.path.abspath(shard) for shard in shards]
    root = os.path.commonpath([os.path.dirname(place) for place in places])
    names = [os.path.relpath(place, root) for place in places]
    if len(set(names)) < len(names):
        raise ConfigError("repair=: two of the shards have one name; repair them apart")
    return names


def repair(
    index: Index, left: Sequence[LeftOut], folder: Path, told: Callable[[int, int], None] = lambda done, total: None
) -> tuple[int, int]:
    """Write to `folder` a shard for each shard of `index`, under its name: one of the usable samples alone where something is
    wrong with it, otherwise a link to it (of a remote one a copy). `left`: what the set lacks. Processes share the work, and a
    killed one loses one shard. Returns (the number of shards that were written anew, of those that are whole). Raises ConfigError
    for a folder with a repair of other shards, or of these before they changed."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / (LOCK + set_place([survey_place(s, folder, index.how) for s in index.shards], index.shards).stem)
    if any(folder.iterdir()) and not lock.is_file():
        raise ConfigError(f"repair={folder}: it is of other shards, or of these before they changed; give another name")
    names, reader = names_of(index.shards), ShardReader(index)
    bad = {one.source for one in left if one.reason not in HARMLESS}
    of_shard = index.spans[:, 0]
    odd = set(np.unique(of_shard[index.facts.remarks & (NOT_UTF8 | COMMANDS) > 0]).tolist())
    anew = [clean_text(str(shard)) in bad or number in odd for number, shard in enumerate(index.shards)]

    def done(i: int) -> bool:
        return os.path.lexists(folder / names[i])

    for i in shared(lock, len(names), done):
        place = folder / names[i]
        place.parent.mkdir(parents=True, exist_ok=True)
        if anew[i]:
            rows = np.flatnonzero(of_shard == i).tolist()
            keys = _apart([index.name(n) for n in rows])
            with whole_file(place) as partial:
                write_shard(partial, (_members(reader, n, key) for n, key in zip(rows, keys, strict=True)))
        elif isinstance(index.shards[i], RemoteShard):
            with whole_file(place) as partial:
                shutil.copyfile(index.shards[i], partial)
        else:
            place.symlink_to(os.path.abspath(index.shards[i]))
        told(i + 1, len(names))
    return sum(anew), len(anew) - sum(anew)


def _apart(keys: Sequence[str]) -> list[str]:
    """The keys, each once: one that comes again (names that differ in bytes that are no text) gets a number behind it."""
    known, found, numbers = set(keys), list[str](), dict[str, int]()
    for key in keys:
        number = numbers.get(key, 0) + 1
        while number > 1 and f"{key}-{number}" in known:
            number += 1
        numbers[key] = number
        found.append(f"{key}-{number}" if number > 1 else key)
    return found


def _members(reader: ShardReader, i: int, key: str) -> dict[str, Any]:
    """The members of a sample as they are, with this key; captions that are not all text as they are read."""
    facts = reader.index.facts
    picture, text, record = reader.members(i, 0)
    captions, fields = reader.captions(i), reader.record(i)
    ending = split_ending(str(facts.places[i]))[1] or "jpg"
    members: dict[str, Any] = {"__key__": key, ending: picture or b""}
    if facts.remarks[i] & (NOT_UTF8 | COMMANDS):
        if len(captions) == 1:
            members["txt"] = captions[0]
        fields = {**fields, "captions": captions}
        fields.pop("caption", None)
        return {**members, "json": json.dumps(fields).encode()}
    if text is not None:
        members["txt"] = text
    if record is not None and (fields or text is None):
        members["json"] = record
    return members
