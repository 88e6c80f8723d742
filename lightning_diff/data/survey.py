"""The survey of a shard: every picture is decoded once, so that what is bad is known before the training, and counted.

A shard's survey is stored under a hash of the file's name, number, size and times, not of its folder: a set that is moved, or
mounted at another place, is not read again. Processes that want the same shards share the work; an added shard is the only one
that is read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..files import DAMAGED, whole_file
from ..locks import shared
from ..strings import clean_text
from .decode import DECODING, BadPicture, decode
from .incoming.captions import NoCaption, captions_of, record_of
from .incoming.names import group
from .incoming.orphans import named_once
from .incoming.tars import contents_of, shortened, too_large
from .incoming.texts import Texts
from .remote.ahead import fetch_ahead
from .sample import MARK, MARKED, LeftOut, left_out

log = logging.getLogger(__name__)
VERSION = 6  # of the way a shard is read; a survey of another version is made anew
THUMB = 8  # pixels: the side of the picture by which near-equal pictures are found
CUT = 1  # bit of `remarks`: the picture's last bytes are missing; captions.py has the others
Told = Callable[[float, float], None]  # (shards read, all shards)

Bytes16 = np.ndarray  # uint8 [N, 16]: the first half of a SHA-256


@dataclass(frozen=True)
class Reading:
    """How a set is read: whether each line of a text is a caption, whether pictures are decoded, whether a picture without
    its last bytes is used, and whether this project wrote the shards (then a record may hold labels, and the place, size and
    remarks of the file that the picture was made from)."""

    lines: bool = False
    decode: bool = False
    truncated: bool = True
    ours: bool = False


@dataclass
class Survey:
    """What is known of N usable samples. `spans` int64 [N, 6]: offset and size in bytes of picture, text and record (offset
    0: none). `places`: paths in the set, which may name a split. `counts` int32 [N]: numbers of captions. `pictures` uint8
    [N, 16] and `captions` uint8 [sum of counts, 16]: digests. `sizes` int32 [N, 2]: width and height in pixels of the picture
    as it came, 0 for unknown. `remarks` uint8 [N]: bits. `thumbs` uint8 [N, 192]: a tiny picture; [0, 192] if not decoded.
    `shards` int32 [N]: the numbers of their shards in the set."""

    spans: np.ndarray
    keys: Texts
    places: Texts
    counts: np.ndarray
    pictures: Bytes16
    captions: Bytes16
    sizes: np.ndarray
    remarks: np.ndarray
    thumbs: np.ndarray
    shards: np.ndarray
    left: list[LeftOut]

    @property
    def first_caption(self) -> np.ndarray:
        """int64 [N + 1]: where the captions of a sample begin in `captions`."""
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])

    @property
    def owners(self) -> np.ndarray:
        """int64 [sum of counts]: the sample of each caption."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def contents(self) -> str:
        """A hash of all pictures, each with its captions, whatever their order."""
        pictures, captions = self.pictures.tobytes(), self.captions.tobytes()
        first = (16 * self.first_caption).tolist()
        both = (pictures[16 * i : 16 * i + 16] + captions[first[i] : first[i + 1]] for i in range(len(self.keys)))
        return hashlib.sha256(b"".join(sorted(both))).hexdigest()[:12]

    def moved(self, before: str, now: str) -> None:
        """Change what names the shard by its path or URL."""
        old, new = clean_text(before), clean_text(now)
        if old != new:
            places = [f"{new}{one[len(old) :]}" if one.startswith(f"{old}/") else one for one in self.places.tolist()]
            self.places = Texts.of(places)
            self.left = [replace(one, source=new) if one.source == old else one for one in self.left]

    def select(self, rows: np.ndarray) -> Survey:
        """The same of these samples alone. What is left out stays with the whole."""
        first = self.first_caption
        places = [np.arange(first[i], first[i + 1]) for i in rows] or [np.zeros(0, np.int64)]
        some: dict[str, Any] = {name: getattr(self, name).select(rows) for name in Survey.TEXTS}
        some |= {name: getattr(self, name)[rows] for name in Survey.ARRAYS if name not in ("captions", "thumbs")}
        thumbs = self.thumbs[rows] if len(self.thumbs) else self.thumbs
        return Survey(**some, captions=self.captions[np.concatenate(places)], thumbs=thumbs, left=[])

    @classmethod
    def joined(cls, some: Sequence[Survey]) -> Survey:
        some = some or [_survey([], [])]
        parts: dict[str, Any] = {name: Texts.joined([getattr(one, name) for one in some]) for name in cls.TEXTS}
        parts |= {name: np.concatenate([getattr(one, name) for one in some]) for name in cls.ARRAYS}
        return cls(**parts, left=[left for one in some for left in one.left])

    TEXTS: ClassVar = ("keys", "places")
    ARRAYS: ClassVar = ("spans", "counts", "pictures", "captions", "sizes", "remarks", "thumbs", "shards")


def digest16(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def survey_shard(path: Path, reading: Reading, pool: Executor, told: Callable[[float], None]) -> Survey:
    """Read a shard through. `told` is called with the share of it that is read."""
    contents = contents_of(path)
    grouped = group(contents.names)
    source = str(path)
    left, others = named_once(contents, grouped.left)
    left += [left_out(source, contents.names[i], reason, contents.spans[i][0]) for i, reason in others]
    rows: list[tuple[Any, ...]] = []
    with path.open("rb") if grouped.samples else open(os.devnull, "rb") as raw:

        def read(sample: tuple[str, int, int, int]) -> tuple[Any, ...] | LeftOut:
            key, *members = sample
            spans = [contents.spans[i] if i >= 0 else (0, 0) for i in members]
            why = "" if reading.ours else too_large(*(size for _, size in spans))
            if why:
                return left_out(source, contents.names[members[0]], why, spans[0][0])
            picture, text, record = (os.pread(raw.fileno(), size, offset) if offset else None for offset, size in spans)
            return _read(source, key, contents.names[members[0]], spans, picture or b"", text, record, reading)

        for n, row in enumerate(pool.map(read, grouped.samples)):
            told((n + 1) / len(grouped.samples))
            if isinstance(row, LeftOut):
                left.append(row)
            else:
                rows.append(row)
    return _survey(rows, shortened(left))


def _read(
    source: str,
    key: str,
    name: str,
    spans: list[tuple[int, int]],
    picture: bytes,
    text: bytes | None,
    record: bytes | None,
    how: Reading,
) -> tuple[Any, ...] | LeftOut:
    """A row of the survey, or why there is none."""
    try:
        captions, said = captions_of(text, record, how.lines)
    except NoCaption as e:
        return left_out(source, key, str(e), spans[0][0])
    size, remarks, thumb = (0, 0), said, b""
    key, place = clean_text(key), clean_text(f"{source}/{name}")
    if how.decode:
        try:
            seen = decode(picture, THUMB, how.truncated)
        except BadPicture as e:
            return left_out(source, name, e.reason, spans[0][0], e.remedy)
        size, thumb = (seen.width, seen.height), seen.square(THUMB).tobytes()
        remarks |= CUT * seen.truncated
    flat, name_of = [number for span in spans for number in span], _origin(record) if how.ours else None
    if name_of is not None:
        key, place, size, bits = name_of
        remarks |= bits
    return flat, key, place, [digest16(c.encode()) for c in captions], digest16(picture), size, remarks, thumb


def _origin(record: bytes | None) -> tuple[str, str, tuple[int, int], int] | None:
    """(key, place, width and height, remarks) of the file that a picture was made from, if this project wrote so."""
    fields = record_of(record)
    if fields.get(MARK) != MARKED or "source" not in fields:
        return None
    size = int(fields["width"]), int(fields["height"])
    return str(fields["key"]), str(fields["source"]), size, int(fields["remarks"])


def _survey(rows: Sequence[tuple[Any, ...]], left: list[LeftOut]) -> Survey:
    spans, keys, places, captions, pictures, sizes, remarks, thumbs = zip(*rows, strict=True) if rows else ((),) * 8

    def digests(some: Sequence[bytes], width: int = 16) -> np.ndarray:
        return np.frombuffer(b"".join(some), np.uint8).reshape(-1, width)

    return Survey(
        np.asarray(spans, np.int64).reshape(-1, 6),
        Texts.of(keys),
        Texts.of(places),
        np.asarray([len(c) for c in captions], np.int32),
        digests(pictures),
        digests([one for c in captions for one in c]),
        np.asarray(sizes, np.int32).reshape(-1, 2),
        np.asarray(remarks, np.uint8),
        digests(thumbs, 3 * THUMB * THUMB),
        np.zeros(len(keys), np.int32),
        left,
    )


def survey_set(shards: Sequence[Path], cache: Path, how: Reading, told: Told = lambda done, total: None) -> Survey:
    """The survey of all shards, from the cache as far as it is there. Processes share what is missing."""
    kept = [survey_place(path, cache, how) for path in shards]
    whole = set_place(kept, shards)
    if not whole.is_file():
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            names = [place.name for place in kept]  # of the shards, so that sets share those that they have in common
            lock = whole.with_name("shards.lock")
            for i in shared(lock, len(kept), lambda i: _load(kept[i]) is not None, names=names):
                fetch_ahead(shards, i + 1)
                found = survey_shard(shards[i], how, pool, lambda share, i=i: told(i + share, len(kept)))  # type: ignore[misc]
                _write(kept[i], found, shards[i])
        parts = [part for place, shard in zip(kept, shards, strict=True) if (part := _load(place, shard))]
        for number, part in enumerate(parts):
            part.shards[:] = number
        _write(whole, Survey.joined(parts))
    known = _load(whole)
    return survey_set(shards, cache, how, told) if known is None else known


def survey_place(shard: Path, cache: Path, how: Reading) -> Path:
    """Where the survey of a shard is stored. One that is not there any more has a survey too, which says so."""
    state = [0, 0, 0, 0]
    with suppress(OSError):
        now = shard.stat()
        state = [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino]
    made_by = [VERSION, DECODING, os.fsencode(shard.name).hex(), *state, astuple(how)]
    name = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:16]
    return cache / "surveys" / name[:2] / f"{name}.npz"  # a folder of all of them would be slow


def set_place(kept: Sequence[Path], shards: Sequence[Path]) -> Path:
    """Where the survey of a set is stored, by the places of its shards' surveys and the paths that it names them by."""
    words = [place.name for place in kept] + [os.fsencode(str(shard)).hex() for shard in shards]
    name = hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
    return kept[0].parents[1] / f"set-{name}.npz" if kept else Path(os.devnull)


def _write(place: Path, survey: Survey, shard: Path | None = None) -> None:
    """Store a survey; that of a `shard` says its path."""
    said = np.asarray(os.fsencode(str(shard)).hex() if shard else "")
    with whole_file(place) as partial, partial.open("wb") as f:
        arrays = {name: getattr(survey, name) for name in Survey.ARRAYS}
        for name in Survey.TEXTS:
            arrays[name], arrays[f"{name}_ends"] = getattr(survey, name).data, getattr(survey, name).ends
        left = np.asarray(json.dumps([asdict(one) for one in survey.left]))
        np.savez(f, left=left, of=np.asarray(place.name), shard=said, **arrays)


def _load(place: Path, shard: Path | None = None) -> Survey | None:
    """A stored survey, that of a `shard` with the path that it has now; None if it is not there. A damaged one is removed (the
    sums in it say so)."""
    try:
        with np.load(place, allow_pickle=False) as arrays:
            if "of" in arrays.files and str(arrays["of"]) != place.name:
                raise ValueError(f"it is {arrays['of']}")
            left = [LeftOut(**one) for one in json.loads(str(arrays["left"]))]
            parts: dict[str, Any] = {name: Texts(arrays[name], arrays[f"{name}_ends"]) for name in Survey.TEXTS}
            found = Survey(**parts, **{name: arrays[name] for name in Survey.ARRAYS}, left=left)
            if shard is not None and "shard" in arrays.files:
                found.moved(os.fsdecode(bytes.fromhex(str(arrays["shard"]))), str(shard))
            return found
    except FileNotFoundError:
        return None
    except DAMAGED as e:
        log.warning("%s: damaged (%s); it is made again", place, e)
        place.unlink(missing_ok=True)
        return None
