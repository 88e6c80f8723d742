"""Reading the table of contents of a tar: which members it has, where their bytes are, and what of it is damaged."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...files import raise_passing
from ..sample import LeftOut, left_out
from .names import clean, is_hidden, split_ending

# How a packed file begins, longer than a member's name is likely to be alike, and what unpacks it.
PACKED = {b"\x1f\x8b\x08": "gunzip", b"BZh91AY&SY": "bunzip2", b"\xfd7zXZ\0": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
PACKED |= {b"\x04\x22\x4d\x18": "unlz4", b"PK\3\4": "unzip"}
BLOCK = 512
MOST_READ = 1 << 20  # bytes of a header
MOST_PICTURE, MOST_TEXT = 1 << 30, 1 << 20  # bytes of a member that is read whole
EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.SOLARIS_XHDTYPE,
)


@dataclass
class Contents:
    """The regular members: cleaned names, offsets and sizes in bytes. `left`: what cannot be used."""

    names: list[str]
    spans: list[tuple[int, int]]
    left: list[LeftOut]


class _Headers(io.BufferedReader):
    """A shard, of which headers alone are read: a damaged one may claim to be as long as the memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, MOST_READ) if size and size > 0 else MOST_READ)


def contents_of(path: Path) -> Contents:
    """The members of a tar. A damaged place is passed over, up to the next valid header. A link is its target."""
    found, source = Contents([], [], []), str(path)
    try:
        with _Headers(path.open("rb", buffering=0)) as raw:
            size = os.fstat(raw.fileno()).st_size
            begin = raw.read(16)
            packed = next((by for mark, by in PACKED.items() if begin.startswith(mark)), "")
            if packed:
                remedy = f"unpack it: {packed} {path.name}"
                found.left.append(left_out(source, "", "compressed shard", 0, remedy))
            elif size:
                _read(raw, size, source, found)
    except OSError as e:
        raise_passing(e)
        found.left.append(left_out(source, "", "not readable"))
    if not found.names and not found.left:
        found.left.append(left_out(source, "", "empty shard"))
    return found


def _read(raw: BinaryIO, size: int, source: str, found: Contents) -> None:
    links: dict[str, tuple[str, int]] = {}
    places: dict[str, tuple[int, int]] = {}
    end: int | None = 0  # of the last member: the next header begins here; None behind a member whose size is not known
    for member, after in _members(raw, size):
        name, span = clean(member.name), (member.offset_data, member.size)
        if end is not None and member.offset > end and not _empty(raw.fileno(), end, member.offset):
            _gap(found, source, end)
        end = after
        if after is None:
            found.left.append(left_out(source, name, "damaged shard", member.offset))
        elif member.issym() or member.islnk():
            links.setdefault(name, (_target(member), member.offset))
        elif member.isdir():
            continue
        elif not member.isreg():
            found.left.append(left_out(source, name, "not a file", member.offset))
        elif member.issparse():
            found.left.append(left_out(source, name, "sparse member", member.offset))
        else:
            places.setdefault(name, span)
            _add(found, source, name, span)
    if end is not None and not _empty(raw.fileno(), end, size):
        _gap(found, source, end)
    goals: dict[str, str] = {}  # where a link leads in the end, so that each is followed once
    for name, (target, offset) in links.items():
        passed = list[str]()
        while target in links and target not in places and target not in goals:
            goals[target] = ""  # a circle of links ends here
            passed.append(target)
            target = links[target][0]
        goal = target if target in places else goals.get(target, "")
        goals |= dict.fromkeys(passed, goal)
        if goal and goal in places:
            _add(found, source, name, places[goal])
        else:
            found.left.append(left_out(source, name, "broken link", offset))


def _gap(found: Contents, source: str, start: int) -> None:
    """Something that is no member begins at `start`. A member that ends there, and is empty, has lost its size, and this is its
    content."""
    if found.spans and found.spans[-1] == (start, 0):
        found.spans.pop()
        found.left.append(left_out(source, found.names.pop(), "damaged shard", start))
    else:
        found.left.append(left_out(source, "", "damaged shard", start))


def _members(raw: BinaryIO, size: int) -> Iterator[tuple[tarfile.TarInfo, int | None]]:
    """Each member, and where the next one begins; None for a member that cannot be as its header says. Behind it, members are
    looked for from its own header on."""
    place = 0
    while True:
        place += (_first_byte(raw.fileno(), place, size) - place) // BLOCK * BLOCK
        raw.seek(place)
        try:
            with tarfile.open(fileobj=raw, mode="r:", ignore_zeros=True) as tar:
                for member in tar:
                    stop = tar.offset - BLOCK + 1 if member.issparse() else member.offset_data + member.size
                    if member.size < 0 or not place < tar.offset or (member.isreg() and stop > size):
                        raise tarfile.ReadError("a size that is not so")
                    place = tar.offset
                    yield member, place
                return
        except (tarfile.TarError, ValueError, OverflowError, LookupError, RecursionError, OSError) as e:
            if isinstance(e, OSError):
                raise_passing(e)
            damaged = _header(raw.fileno(), place, size)
            if damaged is None:
                return
            place = damaged.offset_data
            yield damaged, None


def _header(handle: int, place: int, size: int) -> tarfile.TarInfo | None:
    """The first member whose header, or first further header (a long name, PAX), is at `place` or behind it."""
    start = -1
    while place < size:
        try:
            member = tarfile.TarInfo.frombuf(os.pread(handle, BLOCK, place), "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError):
            place += BLOCK
            continue
        start = place if start < 0 else start
        place += BLOCK
        if member.type not in EXTENSIONS:
            member.offset, member.offset_data = start, place
            return member
        if 0 < member.size <= size - place:
            place += -(-member.size // BLOCK) * BLOCK
    return None


def _add(found: Contents, source: str, name: str, span: tuple[int, int]) -> None:
    if is_hidden(name):
        found.left.append(left_out(source, name, "hidden", span[0]))
    else:
        found.names.append(name)
        found.spans.append(span)


def _target(member: tarfile.TarInfo) -> str:
    """The name that a link means: a hard link's is from the root of the tar, a soft link's from its own folder."""
    folder = posixpath.dirname(member.name) if member.issym() else ""
    return clean(posixpath.normpath(posixpath.join(folder, member.linkname)))


def _empty(handle: int, start: int, stop: int) -> bool:
    """Whether the bytes from `start` to `stop` are all zero, but for headers that are for all members: `git archive` writes one,
    and they name no member."""
    while start < stop:
        try:
            header = tarfile.TarInfo.frombuf(os.pread(handle, BLOCK, start), "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError):
            break
        if header.type != tarfile.XGLTYPE or header.size < 0:
            break
        start += BLOCK * (1 + -(-header.size // BLOCK))
    return _first_byte(handle, start, stop) >= stop


def _first_byte(handle: int, start: int, stop: int) -> int:
    """The place of the first byte that is not zero; `stop` if there is none before it."""
    some = BLOCK  # bytes that are read at a time; zeros are rare, and then there are many
    while start < stop:
        part = os.pread(handle, min(some, stop - start), start)
        if rest := part.lstrip(b"\0"):
            return start + len(part) - len(rest)
        if not part:
            break
        start, some = start + len(part), min(8 * some, 1 << 20)
    return stop


def too_large(picture: int, text: int, record: int) -> str:
    """Why a sample is left out whose members have these sizes in bytes: a reason; empty if they may be read into the memory."""
    return "large file" if picture > MOST_PICTURE or max(text, record) > MOST_TEXT else ""


def shortened(some: list[LeftOut]) -> list[LeftOut]:
    """One entry for each shard and ending that is not known, in place of one for each member."""
    kept, counts = [], dict[tuple[str, str], int]()
    for one in some:
        if one.reason == "unknown ending":
            ending = split_ending(one.member)[1] or "no ending"
            counts[one.source, ending] = counts.get((one.source, ending), 0) + one.count
        else:
            kept.append(one)
    return kept + [
        left_out(source, f"*.{ending}" if ending != "no ending" else ending, "unknown ending", count=count)
        for (source, ending), count in counts.items()
    ]
