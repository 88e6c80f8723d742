"""Which samples of a set are for training and which are kept for testing.

If the paths name the splits (train/, val/, test-0001.tar), that holds. Otherwise `test` samples are drawn, by a hash of their
contents, so that neither names nor order matter. Equal pictures, near-equal pictures and equal captions stay on one side;
where that is not possible, what leaks is counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...config.errors import ConfigError
from ...files import DAMAGED, whole_file
from ...strings import counted
from ..sample import LeftOut, told
from ..survey import Survey
from .names import split_of

VERSION = 1  # of the way a set is split; a stored split of another version is made anew
MOST_COMPARED = 200_000  # samples; in a larger set only equal pictures are found, not near-equal ones
NEAR_MEAN, NEAR_MOST = 3.0, 16.0  # of 255: how much two tiny pictures may differ, on average and at one place
SHARE = 0.5  # a group of samples that is larger than this share of the set is not kept together


@dataclass(frozen=True)
class Splits:
    """Numbers of the samples of each split, in order. `said`: how they came about, in a line; empty if all are for training.
    `leaks`: test samples whose picture, or a near-equal one, or whose caption is in training too."""

    train: np.ndarray
    test: np.ndarray
    said: str = ""
    leaks: int = 0


def stored_split(facts: Survey, test: int, words: str, cache: Path, sure: bool = True) -> Splits:
    """`split`, stored in the cache: to compare the pictures of a large set takes some seconds. Raises ConfigError."""
    places = "\0".join(relative(facts.places.tolist())).encode("utf-8", "surrogatepass")
    made_by = b"".join((facts.pictures.tobytes(), facts.captions.tobytes(), facts.counts.tobytes(), places))
    name = hashlib.sha256(f"{VERSION} {test} {sure} ".encode() + made_by).hexdigest()[:16]
    kept = cache / "splits" / f"{name}.npz"
    with suppress(*DAMAGED, FileNotFoundError), np.load(kept, allow_pickle=False) as stored:
        if "of" not in stored.files or str(stored["of"]) == kept.name:
            return Splits(stored["train"], stored["test"], str(stored["said"]), int(stored["leaks"]))
    found = split(facts, test, words, sure)
    with whole_file(kept) as partial, partial.open("wb") as f:
        said, leaks, name_in_it = map(np.asarray, (found.said, found.leaks, kept.name))
        np.savez(f, train=found.train, test=found.test, said=said, leaks=leaks, of=name_in_it)
    return found


def split(facts: Survey, test: int, words: str, sure: bool = True) -> Splits:
    """The splits of these samples. `words` names the set in messages. Where the names give a split, `test` must be 0 if it is
    `sure`. Raises ConfigError."""
    count = len(facts.spans)
    places = relative(facts.places.tolist())
    named = np.asarray([split_of(place) or "" for place in places])
    held_out = named == "test"
    only_test = bool(held_out.all())
    held_out &= not only_test
    if held_out.any():
        if test and sure:
            raise ConfigError(
                f"data.test={test}: {words} has a split of its own ({counted(int(held_out.sum()), 'test picture')}); leave it out"
            )
        kept = [place for place, tested in zip(places, held_out, strict=True) if tested]
        said = f"split by the names: {_counted(kept)} for testing"
    elif test:
        if test >= count:
            raise ConfigError(f"data.test={test}: {words} has {counted(count, 'captioned picture')} in all")
        held_out = _drawn(facts, test)
        said = f"split by contents: {counted(int(held_out.sum()), 'picture')} for testing"
    else:
        said = "all paths are of a split for testing, so that they name none" if only_test else ""
        return Splits(np.arange(count), np.zeros(0, np.int64), said)
    leaks = _leaks(facts, held_out)
    if leaks:
        said += f"; {leaks} of them are in training too, with the same or nearly the same picture, or the same caption"
    return Splits(np.flatnonzero(~held_out), np.flatnonzero(held_out), said, leaks)


def refuse_tests_alone(places: Sequence[str], lost: Sequence[LeftOut], words: str, root: str) -> None:
    """Raises ConfigError if all usable samples lie in paths for testing and those for training are lost: a model would learn
    its test pictures. `root` is the folder that `places` are below, if they do not name it."""
    if not lost:
        return
    gone = [one.member if one.source == root else f"{one.source}/{one.member}" for one in lost]
    named = [split_of(place) for place in relative([*places, *gone])]
    bad = [one for one, split in zip(lost, named[len(places) :], strict=True) if split == "train"]
    if bad and all(split == "test" for split in named[: len(places)]):
        raise ConfigError(
            f"{words}: none of its training pictures can be used: {told(bad)}; the {len(places):,} that can be used lie in "
            "paths for testing; mend the others, or name the part to train on alone"
        )


def relative(places: Sequence[str]) -> list[str]:
    """The paths below the folder that they share: the name of that folder says nothing about a split."""
    folders = {place.rpartition("/")[0] for place in places}
    shared = _shared_folder(sorted(folders))
    return [place[len(shared) :].lstrip("/") for place in places]


def _shared_folder(folders: Sequence[str]) -> str:
    if not folders:
        return ""
    first, last = folders[0].split("/"), folders[-1].split("/")
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return "/".join(first[:same])


def _counted(places: Sequence[str]) -> str:
    """The first names in these paths, with the number of samples of each."""
    words = Counter(place.split("/")[0] for place in places)
    return (
        counted(len(places), "picture")
        if len(words) > 3
        else ", ".join(f"{n} {word}" for word, n in words.most_common())
    )


def _drawn(facts: Survey, test: int) -> np.ndarray:
    """bool [N]: the samples that are kept for testing, equal and near-equal ones together. Where no group of equal captions is
    small enough, pictures alone are kept together; where no group of pictures is, nothing is."""
    near, pictures = _Near(facts), _equal(facts.pictures, np.arange(len(facts.spans)), len(facts.spans))
    captions = _equal(facts.captions, facts.owners, len(facts.spans))
    order = np.lexsort(facts.pictures.T[::-1])
    held_out = np.zeros(len(facts.spans), bool)
    for equal in ([*zip(pictures, captions, strict=True)], [(one,) for one in pictures]):
        for group in _groups(order, equal, near, test):
            held_out[group] = True
        if held_out.any():
            return held_out
    held_out[order[:test]] = True
    return held_out


def _groups(
    order: np.ndarray, equal: Sequence[tuple[list[np.ndarray], ...]], near: _Near, test: int
) -> Iterator[list[int]]:
    """Yield groups of equal samples, in this order, as long as they fit into the number that is asked for."""
    seen = np.zeros(len(order), bool)
    for begin in order.tolist():
        if test and not seen[begin]:
            group = sorted(_grown(begin, equal, near, test))
            seen[group] = True
            if len(group) <= test:
                test -= len(group)
                yield group


def _equal(digests: np.ndarray, owners: np.ndarray, count: int) -> list[list[np.ndarray]]:
    """For each sample the groups of samples that share one of its digests."""
    found: list[list[np.ndarray]] = [[] for _ in range(count)]
    rows: dict[bytes, set[int]] = defaultdict(set)
    for i, digest in zip(owners.tolist(), digests, strict=True):
        rows[digest.tobytes()].add(i)
    for same in rows.values():
        if 1 < len(same) <= SHARE * count:
            together = np.asarray(sorted(same))
            for i in same:
                found[i].append(together)
    return found


class _Near:
    """Finds the samples whose tiny pictures are nearly equal."""

    def __init__(self, facts: Survey) -> None:
        known = len(facts.thumbs) and len(facts.spans) <= MOST_COMPARED
        self.thumbs = facts.thumbs.astype(np.float32) if known else None
        self.means = self.thumbs.mean(axis=1) if self.thumbs is not None else None
        # A few of their values rule most of them out before all values are compared.
        self.some = (
            [] if self.thumbs is None else [self.thumbs[:, i].copy() for i in range(0, self.thumbs.shape[1], 19)]
        )

    def of(self, i: int) -> np.ndarray:
        if self.thumbs is None or self.means is None:
            return np.zeros(0, np.int64)
        close = np.flatnonzero(np.abs(self.means - self.means[i]) <= NEAR_MEAN)
        for values in self.some:
            close = close[np.abs(values[close] - values[i]) <= NEAR_MOST]
        apart = np.abs(self.thumbs[close] - self.thumbs[i])
        return close[(apart.mean(axis=1) <= NEAR_MEAN) & (apart.max(axis=1) <= NEAR_MOST)]


def _grown(begin: int, equal: Sequence[tuple[list[np.ndarray], ...]], near: _Near, most: int) -> set[int]:
    """All samples that are equal to `begin`, or to one that is. It ends early when there are more than `most`."""
    group, todo = {begin}, [begin]
    while todo and len(group) <= most:
        i = todo.pop()
        for same in (near.of(i), *(rows for kind in equal[i] for rows in kind)):
            new = set(same.tolist()) - group
            group |= new
            todo += new
    return group


def _leaks(facts: Survey, held_out: np.ndarray) -> int:
    """The number of test samples whose picture, or one that is nearly equal, or whose caption is in training too."""
    owners = facts.owners
    pictures = {d.tobytes() for d in facts.pictures[~held_out]}
    captions = {d.tobytes() for d in facts.captions[~held_out[owners]]}
    tested = np.flatnonzero(held_out).tolist()
    leaking = {i for i in tested if facts.pictures[i].tobytes() in pictures}
    leaking |= {int(i) for i, d in zip(owners, facts.captions, strict=True) if held_out[i] and d.tobytes() in captions}
    near = _Near(facts)
    return len(leaking | {i for i in tested if i not in leaking and not held_out[near.of(i)].all()})
