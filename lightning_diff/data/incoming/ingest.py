"""A user's folder: its pictures and their captions are found, decoded in parallel, and written into shards."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...files import raise_passing, whole_file, write_text
from ...locks import shared
from ...strings import clean_text
from ...sums import xxh3
from ..decode import BadPicture, decode
from ..index import Index, ShardReader
from ..sample import MARK, MARKED, LeftOut, left_out
from ..shards import damaged_shards, write_shard
from ..survey import CUT
from .captions import NOT_UTF8, NoCaption, captions_of
from .names import clean, group, split_ending
from .tables import described_by, is_table
from .tars import shortened
from .walk import walk

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A captioned picture in a folder: its path, its key, its path in the folder, its captions, and remarks (bits). If it lies
    in a file among others, `data` reads it."""

    path: Path
    key: str
    place: str
    captions: tuple[str, ...]
    remarks: int = 0
    data: Callable[[], bytes] | None = None

    def read_bytes(self) -> bytes:
        """The picture's bytes. Raises OSError."""
        return self.data() if self.data else self.path.read_bytes()


@dataclass
class Listing:
    """What a folder holds: captioned pictures, sorted by name, and what is left out."""

    found: list[Found] = field(default_factory=list)
    left: list[LeftOut] = field(default_factory=list)


def list_folder(root: Path, lines: bool = False, bare: bool = False) -> Listing:
    """Find the pictures of a folder and their captions: KEY.txt, KEY.caption, KEY.jpg.txt, KEY.json beside KEY.jpg, or a row of
    metadata.csv or metadata.jsonl in its folder or above it. With `bare`, pictures without a caption are found too."""
    listing = Listing()
    files, listing.left = walk(root)
    names = [clean(name) for name, _ in files]

    def pass_over(name: str, reason: str, count: int = 1) -> None:
        listing.left.append(left_out(str(root), name, reason, count=count))

    described: dict[str, tuple[Any, bool]] = {}
    tables = {i for i, name in enumerate(names) if is_table(name)}
    for i in sorted(tables, key=lambda i: names[i].count("/")):  # the table that is nearest to a picture counts
        try:
            rows, valid, rest = described_by(names[i], files[i][1], names)
        except OSError:
            rest = [(names[i], "not readable", 1)]
        else:
            described |= {name: (value, valid) for name, value in rows.items()}
        for one in rest:
            pass_over(*one)
    others = [i for i in range(len(files)) if i not in tables]
    grouped = group([names[i] for i in others], described, twins=True)
    for i, reason in grouped.left:
        path, name = files[others[i]][1], names[others[i]]
        if bare and reason == "no caption":
            listing.found.append(Found(path, clean_text(split_ending(name)[0]), clean_text(name), ()))
        else:
            pass_over(name, reason)
    for key, *members in grouped.samples:
        picture, *texts = (others[i] if i >= 0 else -1 for i in members)
        name = names[picture]
        rows, all_valid = described.get(name, (None, True))
        try:
            text, record = (files[i][1].read_bytes() if i >= 0 else None for i in texts)
            captions, remarks = captions_of(text, record, lines, rows)
        except NoCaption as e:
            if bare:
                listing.found.append(Found(files[picture][1], clean_text(key), clean_text(name), ()))
            else:
                pass_over(name, str(e))
        except OSError:
            pass_over(name, "not readable")
        else:
            remarks |= 0 if all_valid else NOT_UTF8
            listing.found.append(Found(files[picture][1], clean_text(key), clean_text(name), tuple(captions), remarks))
    listing.left = shortened(listing.left)
    if bare:
        listing.found.sort(key=lambda one: one.place)
    return listing


def contents_digest(found: Sequence[Found], hashes: Sequence[str]) -> str:
    """A hash of the set: each picture's place and content, and its captions."""
    h = hashlib.sha256()
    for one, content in zip(found, hashes, strict=True):
        h.update(json.dumps([one.place, content, one.captions]).encode())
    return h.hexdigest()[:12]


@dataclass(frozen=True)
class Square:
    """A picture as it is stored, in bytes of PNG or as a function that reads them; the width and height that it had, and remarks
    (bits)."""

    data: bytes | Callable[[], bytes]
    width: int
    height: int
    remarks: int

    def png(self) -> bytes:
        return self.data if isinstance(self.data, bytes) else self.data()


@dataclass(frozen=True)
class Making:
    """How pictures are made into samples: the folder that they are from, the size in pixels, whether a picture without its last
    bytes is used, how a picture becomes a square, and squares that an earlier set has, by the hashes of the files that they were
    made from."""

    root: Path
    size: int
    truncated: bool = True
    fit: str = "crop"
    known: Mapping[str, Square] = field(default_factory=dict)


def write_pictures(
    found: Sequence[Found], hashes: Sequence[str], how: Making, folder: Path, per: int, told: Callable[[int], None]
) -> list[LeftOut]:
    """Write the pictures into shards of `per` samples in `folder`, each as a square of its size. `hashes` are of
    their files. Processes share the work by shards, and a killed process loses one shard. Returns what could not be decoded."""
    starts = list(range(0, len(found), per))
    notes = [folder / f"pictures-{n:06d}.json" for n in range(len(starts))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for n in shared(folder / "lock", len(starts), lambda n: notes[n].is_file()):
            left: list[LeftOut] = []
            some = slice(starts[n], starts[n] + per)
            made = pool.map(partial(_made, how=how), found[some], hashes[some], range(starts[n], starts[n] + per))
            shard = folder / f"pictures-{n:06d}.tar"
            with whole_file(shard) as unfinished:
                write_shard(unfinished, _samples(made, left, lambda done, n=n: told(starts[n] + done)))  # type: ignore[misc]
            write_text(notes[n], json.dumps({"left": [asdict(one) for one in left], "sum": xxh3(shard)}))
    return [LeftOut(**one) for note in notes for one in _note(note)[0]]


def _note(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """What was left out of a shard, and the shard's sum if it is known. Raises ValueError."""
    stored = json.loads(path.read_bytes())
    try:
        return (stored, None) if isinstance(stored, list) else (stored["left"], stored["sum"])
    except (KeyError, TypeError) as e:
        raise ValueError("not a note of a shard") from e


def remove_damaged(folder: Path) -> bool:
    """Remove the shards that are not as they were written, with their notes: they are made again. Returns whether some were."""
    sums: dict[str, str | None] = {}
    for note in folder.glob("pictures-*.json"):
        try:
            sums[note.with_suffix(".tar").name] = _note(note)[1]
        except ValueError:
            note.unlink(missing_ok=True)
    known = {name: found for name, found in sums.items() if found}
    bad = {*damaged_shards(folder, known), *(name for name in sums if not (folder / name).is_file())}
    bad |= {path.name for path in folder.glob("pictures-*.tar") if path.name not in sums}
    for name in bad:
        log.warning("%s: damaged; it is made again", folder / name)
        (folder / name).with_suffix(".json").unlink(missing_ok=True)
        (folder / name).unlink(missing_ok=True)
    return bool(bad)


def _samples(
    made: Iterable[dict[str, Any] | LeftOut], left: list[LeftOut], told: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    """The samples among these; the others go into the list `left`."""
    for done, one in enumerate(made, 1):
        told(done)
        if isinstance(one, LeftOut):
            left.append(one)
        else:
            yield one


def _made(one: Found, content: str, number: int, how: Making) -> dict[str, Any] | LeftOut:
    """The members of a sample, or why there is none."""
    try:
        square = (how.known.get(content) if content else None) or _square(_bytes_of(one, content), how)
    except BadPicture as e:
        return left_out(str(how.root), one.place, e.reason, remedy=e.remedy)
    except OSError as e:
        raise_passing(e)
        return left_out(str(how.root), one.place, "not readable")
    record = {
        **{MARK: MARKED, "key": one.key, "source": one.place, "width": square.width, "height": square.height},
        **{"remarks": one.remarks | square.remarks, "captions": one.captions, "content": content},
    }
    key = f"{number:06d}-{one.key.replace('/', '_').replace('.', '_')}"
    text = {"txt": one.captions[0]} if len(one.captions) == 1 else {}
    return {"__key__": key, "png": square.png(), "json": json.dumps(record).encode(), **text}


def _bytes_of(one: Found, content: str) -> bytes:
    """A picture's bytes. Raises ConfigError if they have another hash: the wrong square would be kept under this one."""
    data = one.read_bytes()
    if content and not one.data and hashlib.sha256(data).hexdigest() != content:
        raise ConfigError(f"{one.path}: it changed while the set was read; give the command again")
    return data


def _square(data: bytes, how: Making) -> Square:
    seen = decode(data, how.size, how.truncated, how.fit)
    png = io.BytesIO()
    seen.square(how.size, how.fit).save(png, "PNG", compress_level=1)
    return Square(png.getvalue(), seen.width, seen.height, CUT * seen.truncated)


def known_squares(index: Index) -> dict[str, Square]:
    """The squares of an earlier set, by the hashes of the files that they were made from."""
    reader, found = ShardReader(index), dict[str, Square]()
    for i in range(len(index)):
        fields = reader.record(i)
        remarks = int(index.facts.remarks[i]) & CUT
        found[str(fields["content"])] = Square(partial(reader.picture, i), fields["width"], fields["height"], remarks)
    return found
