"""Sample and LeftOut: a captioned picture as every source returns it, and what a source cannot use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..strings import clean_text, counted

if TYPE_CHECKING:
    from PIL.Image import Image

MARK = "made_by"  # key of the record in the shards that this project wrote; its value is MARKED
MARKED = "lightning_diff"


@dataclass(frozen=True)
class Sample:
    """A captioned picture. `key` is its name in the shards, without a dot. `labels` holds what the *caption states*, as
    indices into the values of the source's attributes. `hard_negative` is almost the caption, but wrong for the picture; a
    text encoder must learn to tell the two apart."""

    key: str
    picture: Image
    caption: str
    labels: dict[str, int] = field(default_factory=dict)
    hard_negative: str = ""


# What is left out, and what to do. The reasons of decode.REASONS, for pictures that cannot be decoded, come on top.
REMEDIES = {
    "no caption": "put KEY.txt beside KEY.jpg, or a line into metadata.csv",
    "json without caption": "give it a key caption, captions, text or prompt",
    "unreadable json": "mend KEY.json, or put KEY.txt beside it",
    "no picture": "put KEY.jpg beside KEY.txt, or remove the caption",
    "empty caption": "write a caption into it",
    "caption is not text": "write the caption as a text, or as a list of texts",
    "large file": "give a picture of at most 1 GiB, and a caption file of at most 1 MiB",
    "second of its name": "rename it; the first one is used",
    "second caption": "nothing; the first of .txt, .caption and .text is the caption",
    "damaged row": "mend it: a table has a column for the file and one for the caption, and quotes around a text with commas",
    "not a file": "remove it; only files are read",
    "unknown ending": "rename it if it is a picture or a caption",
    "picture format": "convert it to JPEG, PNG or WebP",
    "hidden": "rename it if it is a picture or a caption; hidden files are not read",
    "broken link": "mend the link",
    "linked twice": "nothing; it is read once",
    "not readable": "give yourself the right to read it",
    "compressed shard": "unpack it: gunzip FILE",
    "damaged shard": "make this shard again",
    "empty shard": "remove it, or make it again",
    "filtered out": "nothing; data.filter leaves it out",
    "outside": "give the folder that holds it, data.pictures=FOLDER; no path may leave that folder",
    "sparse member": "make the shard without --sparse",
}
# A reason as it is said of one thing, and of several. A reason that is not here is a noun.
SAID = {
    "no caption": ("picture has no caption", "pictures have no caption"),
    "json without caption": ("json file has no caption", "json files have no caption"),
    "unreadable json": ("json file cannot be read as JSON", "json files cannot be read as JSON"),
    "no picture": ("caption has no picture", "captions have no picture"),
    "empty caption": ("caption is empty", "captions are empty"),
    "caption is not text": ("caption is not text", "captions are not text"),
    "large file": ("sample has too large a file", "samples have too large a file"),
    "second of its name": ("file is the second of its name", "files are the second of their name"),
    "not a file": ("entry is no file", "entries are no files"),
    "unknown ending": ("file has an unknown ending", "files have an unknown ending"),
    "picture format": ("picture has a format that is not read", "pictures have a format that is not read"),
    "hidden": ("file is hidden", "files are hidden"),
    "broken link": ("link is broken", "links are broken"),
    "linked twice": ("folder or shard is linked twice", "folders or shards are linked twice"),
    "not readable": ("file is not readable", "files are not readable"),
    "filtered out": ("sample is filtered out", "samples are filtered out"),
    "outside": ("path leads outside", "paths lead outside"),
    "not a picture": ("file is not a picture", "files are not pictures"),
    "unknown format": ("file has an unknown format", "files have an unknown format"),
    "damaged": ("picture is damaged", "pictures are damaged"),
    "truncated": ("picture is truncated", "pictures are truncated"),
    "too large": ("picture is too large", "pictures are too large"),
}
# These lose no sample: what lies beside the pictures, and what the system keeps there.
HARMLESS = ("unknown ending", "hidden", "second caption", "not a file", "linked twice", "empty shard", "filtered out")


@dataclass(frozen=True)
class LeftOut:
    """`count` things that a source cannot use: the shard or folder, the member or file in it, the byte in the shard where
    it begins (-1: unknown), a reason of a fixed list, and what to do."""

    source: str
    member: str
    offset: int
    reason: str
    remedy: str
    count: int = 1


def left_out(source: str, member: str, reason: str, offset: int = -1, remedy: str = "", count: int = 1) -> LeftOut:
    return LeftOut(clean_text(source), clean_text(member), offset, reason, remedy or REMEDIES[reason], count)


def lost(some: Iterable[LeftOut]) -> int:
    """The number of samples that these cost."""
    return sum(one.count for one in some if one.reason not in HARMLESS)


def told(some: Iterable[LeftOut], examples: int = 2) -> str:
    """All of these in one line, by reason: 3 pictures have no caption (a.png, b.png, ...), 1 web page (c.jpg)."""
    rows = list(some)
    counts: Counter[str] = Counter()
    for one in rows:
        counts[one.reason] += one.count
    parts = []
    for reason, count in counts.most_common():
        names = [one.member or one.source for one in rows if one.reason == reason]
        more = ", ..." if len(names) > examples else ""
        parts.append(f"{reason_words(reason, count)} ({', '.join(names[:examples])}{more})")
    return ", ".join(parts)


def reason_words(reason: str, count: int) -> str:
    """A reason with its count: 1 picture has no caption, 146 pictures have no caption."""
    return f"{count:,} {SAID[reason][count != 1]}" if reason in SAID else counted(count, reason)


def nothing_usable(some: Iterable[LeftOut]) -> str:
    """What a place holds that has nothing to use, and what to do about most of it."""
    rows = list(some)
    counts: Counter[str] = Counter()
    for one in rows:
        counts[one.remedy] += one.count
    return f"{told(rows)}; {counts.most_common(1)[0][0]}" if rows else "it holds nothing"
