"""The splits of a set of which headers alone are read. Whole shards are kept for testing, and these are read through."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...config.errors import ConfigError
from ..incoming.names import split_of
from ..incoming.splits import relative
from ..index import build_index
from ..order import sampled
from ..remote.urls import masked
from ..sample import LeftOut
from ..sources.base import Prepared
from ..survey import Reading, Told
from .index import HeaderIndex, header_index

if TYPE_CHECKING:
    from ..ordering.weights import Sets


def prepared_headers(
    shards: list[Path],
    left: Sequence[LeftOut],
    sets: Sets | None,
    cache: Path,
    how: Reading,
    asked: Callable[[int], int],
    words: str,
    told: Told = lambda done, total: None,
) -> Prepared:
    """The splits, and what is left out. `asked` gives the number of test pictures of a number of samples; `words` names the set.
    Shards whose names say so are for testing (test-0001.tar); otherwise shards are drawn, by a hash of their names and sizes,
    so that each set keeps some for training. Raises ConfigError."""
    index = header_index(shards, cache, how, told, sets)
    wanted = asked(len(index))
    named = [i for i, place in enumerate(relative([f"{shard}/-" for shard in shards])) if split_of(place) == "test"]
    if len(named) == len(shards):
        named = []
    tests = named or (_drawn(index, wanted, words) if wanted else [])
    if not tests:
        return Prepared({"train": index}, "", [*left, *index.left])
    train = index.of_shards([i for i in range(len(shards)) if i not in set(tests)])
    test = build_index([shards[i] for i in tests], cache, how)
    found = sorted(sampled(test.facts.pictures, 0)[: wanted or None].tolist()) if not named else range(len(test))
    said = f"{len(tests)} of {len(shards)} shards are kept for testing, {'by their names' if named else 'drawn'}; "
    said += f"{len(found)} of their pictures are used, and none is compared with those for training"
    if sets is not None:
        parts = [np.flatnonzero(sets.of == number) for number in range(len(sets.names))]
        kept = [f"{np.isin(mine, tests).sum()} of {len(mine)}" for mine in parts]
        said += f"; of the sets {', '.join(f'{masked(name)} {n}' for name, n in zip(sets.names, kept, strict=True))}"
    everything = [*left, *train.left, *test.left]
    return Prepared({"train": train, "test": test.select(np.asarray(found, np.int64))}, said, everything)


def _drawn(index: HeaderIndex, wanted: int, words: str) -> list[int]:
    """The shards to keep for testing: the first, by their hashes, that have the samples that are wanted. A set's last shard with
    samples is never taken. Raises ConfigError."""

    def hashed(i: int) -> bytes:
        return hashlib.sha256(os.fsencode(index.shards[i].name) + index.known[i].digest.encode()).digest()

    of = np.zeros(len(index.shards), np.int64) if index.sets is None else index.sets.of
    full = [i for i, one in enumerate(index.known) if one.count]
    rest = Counter(int(of[i]) for i in full)  # of each set, shards for training
    some, count = list[int](), 0
    for i in sorted(full, key=hashed):
        if count < wanted and rest[int(of[i])] > 1:
            some.append(i)
            rest[int(of[i])] -= 1
            count += index.known[i].count
    if count < wanted:
        whose = "all of them" if index.sets is None else "all of a set"
        raise ConfigError(
            f"{words}: data.check=headers keeps whole shards for testing, and {wanted} test pictures would take {whose}; "
            "give data.test=none, or data.check=pictures"
        )
    return sorted(some)
