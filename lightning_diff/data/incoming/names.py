"""What a file's name says, in a folder and in a shard alike: its key, its role, its split, and which files belong together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...strings import clean_text
from ..decode import OTHER_PICTURES, SUFFIXES

TEXTS = ("txt", "caption", "text")  # a caption file's endings; the first that is there is read
RECORDS = ("json",)
SYSTEM = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "Thumbs.db", "desktop.ini")
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "holdout": "test"}
SPLITS |= {"val": "test", "valid": "test", "validation": "test", "dev": "test", "heldout": "test"}


def clean(name: str) -> str:
    """The name in NFC, with a slash between its parts, and relative: whatever it was, it stays in its folder."""
    parts = unicodedata.normalize("NFC", clean_text(name)).split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def is_hidden(name: str) -> bool:
    """Whether the system or a program made this file or folder for itself: .DS_Store, ._a.jpg, .ipynb_checkpoints."""
    return any((p.startswith(".") and p.strip(".")) or p in SYSTEM for p in name.split("/"))


def split_ending(name: str) -> tuple[str, str]:
    """(name without its ending, ending in lower case without the dot)."""
    folder, slash, last = name.rpartition("/")
    stem, dot, ending = last.rpartition(".")
    return (folder + slash + stem, ending.lower()) if dot and stem else (name, "")


def split_of(place: str) -> str | None:
    """The split that a path names: train or test; None if it names none. A folder's name must be such a word (train, validation);
    of a shard's name any word may be (test-0001.tar, cc-validation-3.tar). A picture's own name says nothing."""
    for part in place.split("/")[:-1]:
        shard = part.lower().endswith(".tar")
        for word in re.split(r"[^a-z]+", part.lower()) if shard else [part.lower()]:
            if word in SPLITS:
                return SPLITS[word]
    return None


@dataclass
class Grouped:
    """Samples as (key, place of the picture, of the text, of the record), -1 for none; and (place, reason) of what is left."""

    samples: list[tuple[str, int, int, int]] = field(default_factory=list)
    left: list[tuple[int, str]] = field(default_factory=list)


def group(names: Sequence[str], described: Iterable[str] = (), twins: bool = False) -> Grouped:
    """Which of these names are one sample: the picture KEY.jpg and its caption KEY.txt, KEY.caption, KEY.jpg.txt or KEY.json.

    The key ends at the last dot, so that photo.v1.2.jpg belongs to photo.v1.2.txt. A picture without a caption of that name
    takes the one that is alike up to the *first* dot, as in webdataset: s0.input.jpg and s0.output.txt. `described`: names of
    pictures that have a caption elsewhere. With `twins` a.jpg and a.png are two pictures with one caption; without, they
    are two members of one sample, and the first is used."""
    found, elsewhere = Grouped(), set(described)
    captions: dict[str, dict[str, int]] = {}
    pictures: list[tuple[int, str]] = []
    first: dict[str, int] = {}
    used: set[str] = set()  # stems of captions that have a picture
    for i, name in enumerate(names):
        stem, ending = split_ending(name)
        if first.setdefault(name, i) != i:
            found.left.append((i, "second of its name"))
        elif ending in SUFFIXES:
            pictures.append((i, stem))
        elif ending in (*TEXTS, *RECORDS):
            if captions.setdefault(stem, {}).setdefault(ending, i) != i:  # a.txt and a.TXT
                found.left.append((i, "second of its name"))
        elif ending in OTHER_PICTURES:
            found.left.append((i, "picture format"))
            used |= {stem, name}
        else:
            found.left.append((i, "unknown ending"))
    alone: list[tuple[int, str]] = []
    whole: set[str] = set()
    for i, stem in pictures:
        own = {**captions.get(names[i], {}), **captions.get(stem, {})}
        if not own and names[i] not in elsewhere:
            alone.append((i, stem))
        elif stem in whole and not twins:
            found.left.append((i, "second of its name"))
        else:
            key = names[i] if stem in whole else stem
            whole.add(stem)
            used |= {stem, names[i]}
            found.samples.append((key, i, *_best(own)))
    _pair_by_first_dot(found, alone, {s: c for s, c in captions.items() if s not in used}, whole)
    order = {i: n for n, (i, _) in enumerate(pictures)}
    found.samples.sort(key=lambda sample: order[sample[1]])
    return found


def _pair_by_first_dot(
    found: Grouped, alone: Sequence[tuple[int, str]], captions: dict[str, dict[str, int]], whole: set[str]
) -> None:
    """Pair the pictures that are `alone` with the captions that no picture has taken. `whole`: keys of complete samples."""
    loose: dict[str, dict[str, int]] = {}
    for stem, own in captions.items():
        for ending, i in own.items():
            if loose.setdefault(_first_part(stem), {}).setdefault(ending, i) != i:
                found.left.append((i, "no picture"))
    complete = {_first_part(stem) for stem in whole}
    for i, stem in alone:
        key = _first_part(stem)
        own = loose.pop(key, {}) if key not in complete else {}
        if own:
            complete.add(key)
            found.samples.append((key, i, *_best(own)))
        else:
            found.left.append((i, "unknown ending" if key in complete else "no caption"))
    found.left += [
        (i, "unknown ending" if s in complete else "no picture") for s, own in loose.items() for i in own.values()
    ]


def _best(own: dict[str, int]) -> tuple[int, int]:
    """(the text, the record) among a picture's captions by ending; -1 for none."""
    text, record = (next((own[e] for e in endings if e in own), -1) for endings in (TEXTS, RECORDS))
    return text, record


def _first_part(stem: str) -> str:
    folder, slash, last = stem.rpartition("/")
    return folder + slash + (last.partition(".")[0] or last)
