"""Finding files: those of a folder and its subfolders, and the shards that a user names."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from ...config.errors import ConfigError
from ..sample import LeftOut, left_out, told
from ..shards import TooMany, braces_expanded, is_remote
from .names import is_hidden
from .tars import shortened

MOST = 10**6  # shards of a pattern
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def walk(root: Path) -> tuple[list[tuple[str, Path]], list[LeftOut]]:
    """([(path in the folder, file)] sorted by name, what is left out). A linked folder is followed once, after all others. It is
    not followed to where the walk came from."""
    files: list[tuple[str, Path]] = []
    left: list[LeftOut] = []
    seen = {_identity(folder) for folder in Path(os.path.realpath(root)).parents}
    inside, linked = [""], list[str]()
    while inside or linked:
        name = inside.pop() if inside else linked.pop(0)
        try:
            folder = root / name
            here = _identity(folder)
            if here in seen:
                left.append(left_out(str(root), name, "linked twice"))
                continue
            seen.add(here)
            entries = list(os.scandir(folder))
        except OSError:
            left.append(left_out(str(root), name, "not readable"))
            continue
        for entry in sorted(entries, key=lambda entry: entry.name):
            place = f"{name}/{entry.name}".lstrip("/")
            match _kind(entry):
                case "folder":
                    (linked if entry.is_symlink() else inside).append(place)
                case "file":
                    files.append((place, Path(entry.path)))
                case reason:
                    left.append(left_out(str(root), place, reason))
    return sorted(files), left


def _identity(folder: Path) -> tuple[int, int]:
    """The same for all paths that lead to a folder."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def _kind(entry: os.DirEntry[str]) -> str:
    """Whether it is a folder or a file, or why it is left out."""
    if is_hidden(entry.name):
        return "hidden"
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        return "broken link" if entry.is_symlink() and not os.path.exists(entry.path) else "not a file"
    except OSError:  # a link to itself, or to where one may not look
        return "broken link" if entry.is_symlink() else "not readable"


def find_shards(source: str, words: str = "") -> tuple[list[Path], list[LeftOut]]:
    """(the tar files that `source` names, what is left out): a folder with its subfolders, a file, or a pattern of such, as
    set/{000..012}.tar or set/train-*.tar. A file that several paths name is read once. `words` names it in messages.

    Raises ConfigError if there are none, or if one that a brace pattern names is missing."""
    words = words or f"data.source={source}"
    if is_remote(source):
        raise ConfigError(f"{words}: only local paths are read; nothing from outside is executed")
    places = [source] if os.path.exists(source) else _expanded(source, words)
    missing = [place for place in places if not os.path.exists(place)]
    if missing or not places:
        more = f" ({len(missing)} of {len(places)} are missing)" if len(places) > 1 else ""
        raise ConfigError(f"{words}: no such shard: {missing[0] if missing else source}{more}")
    found, left, real = list[Path](), list[LeftOut](), dict[str, str]()
    for place in dict.fromkeys(places):
        some, others = _inside(Path(place)) if os.path.isdir(place) else _alone(Path(place))
        for path in some:
            first = real.setdefault(os.path.realpath(path), str(path))
            if first == str(path):
                found.append(path)
            else:
                others.append(left_out(str(path), "", "linked twice"))
        left += others
    found = list(dict.fromkeys(found))
    if not found:
        raise ConfigError(
            f"{words}: no .tar in that folder; {told(left) or 'it holds nothing'} (data=folder reads pictures)"
        )
    return found, left


def _inside(folder: Path) -> tuple[list[Path], list[LeftOut]]:
    files, left = walk(folder)
    for name, _ in files:
        if not name.lower().endswith(".tar"):
            reason = "compressed shard" if name.lower().endswith(PACKED) else "unknown ending"
            left.append(left_out(str(folder), name, reason))
    return [file for name, file in files if name.lower().endswith(".tar")], shortened(left)


def _alone(path: Path) -> tuple[list[Path], list[LeftOut]]:
    """A path that is no folder. To open a pipe would wait for ever."""
    return ([path], []) if path.is_file() else ([], [left_out(str(path), "", "not a file")])


def _expanded(source: str, words: str) -> list[str]:
    """The paths that a pattern names. Raises ConfigError."""
    try:
        every = braces_expanded(source, MOST)
    except TooMany as e:
        raise ConfigError(f"{words}: names more than {MOST:,} shards; give the folder, or a pattern with *") from e
    except ValueError as e:
        raise ConfigError(f"{words}: not a brace pattern: {e}") from e
    return [
        path
        for one in every
        for path in ([one] if os.path.exists(one) else sorted(glob.glob(one, recursive=True)) or [one])
    ]
