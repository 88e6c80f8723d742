"""Reading the table of contents of a tar: which members it has, where their bytes are, and what of it is damaged."""

from __future__ import annotations

import os
import posixpath
import tarfile
from dataclasses import dataclass
from pathlib import Path

from ...strings import clean_text
from ..sample import LeftOut, left_out
from .names import clean, is_hidden, split_ending

PACKED = {b"\x1f\x8b": "gunzip", b"BZ": "bunzip2", b"\xfd7": "unxz", b"\x28\xb5": "unzstd"}
BLOCK = 512


@dataclass
class Contents:
    """The regular members: cleaned names, offsets and sizes in bytes. `left`: what cannot be used."""

    names: list[str]
    spans: list[tuple[int, int]]
    left: list[LeftOut]


def contents_of(path: Path) -> Contents:
    """The members of a tar. A damaged place is passed over, up to the next valid header. A link is its target."""
    found, source = Contents([], [], []), str(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as raw:
            begin = raw.read(2)
    except OSError:
        found.left.append(left_out(source, "", "not readable"))
        return found
    if not size:
        found.left.append(left_out(source, "", "empty shard"))
        return found
    if begin in PACKED:
        found.left.append(left_out(source, "", "compressed shard", 0, f"unpack it: {PACKED[begin]} {path.name}"))
        return found
    links: list[tuple[str, str, int]] = []
    places: dict[str, tuple[int, int]] = {}
    end = 0  # of the last member: the next header begins here
    with path.open("rb") as raw:
        try:
            with tarfile.open(fileobj=raw, mode="r:", ignore_zeros=True) as tar:
                for member in tar:
                    if member.offset > end and not _empty(raw.fileno(), end, member.offset):
                        found.left.append(left_out(source, "", "damaged shard", end))
                    end = member.offset_data + -(-(member.size if member.isreg() else 0) // BLOCK) * BLOCK
                    name = clean(member.name)
                    if member.issym() or member.islnk():
                        links.append((name, _target(member), member.offset))
                    elif not member.isreg():
                        continue
                    elif member.issparse():
                        found.left.append(left_out(source, name, "sparse member", member.offset))
                    elif member.offset_data + member.size > size:
                        found.left.append(left_out(source, name, "damaged shard", member.offset))
                        end = size
                    else:
                        places.setdefault(name, (member.offset_data, member.size))
                        _add(found, source, name, (member.offset_data, member.size))
        except (tarfile.TarError, OSError, ValueError, OverflowError):
            found.left.append(left_out(source, "", "damaged shard", end))
            end = size
        if end < size and not _empty(raw.fileno(), end, size):
            found.left.append(left_out(source, "", "damaged shard", end))
    for name, target, offset in links:
        if target in places:
            _add(found, source, name, places[target])
        else:
            found.left.append(left_out(source, name, "broken link", offset))
    if not found.names and not found.left:
        found.left.append(left_out(source, "", "empty shard"))
    return found


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
    """Whether the bytes from `start` to `stop` are all zero."""
    while start < stop:
        part = os.pread(handle, min(1 << 20, stop - start), start)
        if part.strip(b"\0"):
            return False
        if not part:
            break
        start += len(part)
    return True


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
        left_out(source, f"*.{clean_text(ending)}" if ending != "no ending" else ending, "unknown ending", count=count)
        for (source, ending), count in counts.items()
    ]
