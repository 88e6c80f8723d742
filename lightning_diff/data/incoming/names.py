"""What a file's name says, in a folder and in a shard alike: its key, its role, its split, and which files belong together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..decode import OTHER_PICTURES, SUFFIXES

TEXTS = ("txt", "caption", "text")  # a caption file's endings; the first that is there is read
RECORDS = ("json",)
SYSTEM = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "Thumbs.db", "desktop.ini")
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "holdout": "test"}
SPLITS |= {"val": "test", "valid": "test", "validation": "test", "validate": "test", "dev": "test", "heldout": "test"}
SPLITS |= {"evaluation": "test"}
# What a folder's name may say besides: val2017, test_images. Other words make it a class or a set (test pattern, latest).
FURTHER = r"(?:set|split|data|images?|(?:19|20)\d\d)"
SPLIT_FOLDER = re.compile(f"({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?:[ _-]*{FURTHER})*")
MEMBER = re.compile(r"[^\d\s]*")  # what may follow a key's first dot: s0.input.jpg, but not 2024.05 beach.jpg


def clean(name: str) -> str:
    """The name in NFC, with a slash between its parts, and relative: whatever it was, it stays in its folder. Bytes that are not
    UTF-8 stay as they are (as lone surrogates), because names that differ in them alone are two names."""
    parts = unicodedata.normalize("NFC", name).split("/")
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
    """The split that a path names: train or test; None if it names none. A folder's name must be such a word (train, val2017);
    of a shard's name any word may be (test-0001.tar, cc-validation-3.tar). A picture's own name says nothing."""
    for part in place.lower().split("/")[:-1]:
        folder = SPLIT_FOLDER.fullmatch(part)
        for word in re.split(r"[^a-z]+", part) if part.endswith(".tar") else [folder[1]] if folder else []:
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
    pictures that have a caption elsewhere. With `twins`, for files, a.jpg and a.png are two pictures with one caption; without,
    for members, they are of one sample, the first is used, and what else has its key (a.mask.png) is counted by ending."""
    found, elsewhere = Grouped(), set(described)
    captions: dict[str, dict[str, int]] = {}
    pictures: list[tuple[int, str]] = []
    first: dict[str, int] = {}
    unread: set[str] = set()  # names and stems of pictures in formats that are not read; their captions are no news
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
            unread |= {stem, name}
        else:
            found.left.append((i, "unknown ending"))
    alone: list[tuple[int, str]] = []
    whole: set[str] = set()
    paired: set[str] = set()  # names and stems of pictures that have a caption
    for i, stem in pictures:
        own = {**captions.get(names[i], {}), **captions.get(stem, {})}
        if not own and names[i] not in elsewhere:
            alone.append((i, stem))
        elif stem in whole and not twins:
            found.left.append((i, "second of its name"))
        else:
            key = names[i] if stem in whole else stem
            whole.add(stem)
            paired |= {stem, names[i]}
            found.samples.append((key, i, *_best(own)))
    read = {i for _, _, *members in found.samples for i in members}
    for stem in paired & captions.keys():
        found.left += [(i, "second caption") for i in captions[stem].values() if i not in read]
    loose = {stem: own for stem, own in captions.items() if stem not in paired and stem not in unread}
    _pair_by_first_dot(found, alone, loose, whole, twins)
    order = {i: n for n, (i, _) in enumerate(pictures)}
    found.samples.sort(key=lambda sample: order[sample[1]])
    return found


def _pair_by_first_dot(
    found: Grouped, alone: Sequence[tuple[int, str]], captions: dict[str, dict[str, int]], whole: set[str], twins: bool
) -> None:
    """Pair the pictures that are `alone` with the captions that no picture has taken. `whole`: keys of complete samples; without
    `twins`, what else has their key is a further member of them."""
    loose: dict[str, dict[str, tuple[int, str]]] = {}
    complete = {_first_part(stem)[0] for stem in whole}

    def pass_over(i: int, key: str, reason: str) -> None:
        found.left.append((i, "unknown ending" if key in complete and not twins else reason))

    for stem, own in captions.items():
        key, rest = _first_part(stem)
        for ending, i in own.items():
            if loose.setdefault(key, {}).setdefault(ending, (i, rest))[0] != i:
                pass_over(i, key, "no picture")
    for i, stem in alone:
        key, rest = _first_part(stem)
        near = {e: n for e, (n, other) in loose.get(key, {}).items() if not other or MEMBER.fullmatch(rest + other)}
        if near and key not in complete:
            complete.add(key)
            found.samples.append((key, i, *_best(near)))
            loose[key] = {e: one for e, one in loose[key].items() if e not in near}
        else:
            pass_over(i, key, "no caption")
    for key, left in loose.items():
        for i, _ in left.values():
            pass_over(i, key, "no picture")


def _best(own: dict[str, int]) -> tuple[int, int]:
    """(the text, the record) among a picture's captions by ending; -1 for none."""
    text, record = (next((own[e] for e in endings if e in own), -1) for endings in (TEXTS, RECORDS))
    return text, record


def _first_part(stem: str) -> tuple[str, str]:
    """(what is before the first dot of the file's name, what follows it)."""
    folder, slash, last = stem.rpartition("/")
    first, _, rest = last.partition(".")
    return (folder + slash + first, rest) if first else (stem, "")
