"""Finding files: those of a folder and its subfolders, and the shards that a user names."""

from __future__ import annotations

import os
from pathlib import Path

from ...config.errors import ConfigError
from ..sample import LeftOut, left_out, told
from ..shards import is_remote
from .names import is_hidden
from .tars import shortened

PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def walk(root: Path) -> tuple[list[tuple[str, Path]], list[LeftOut]]:
    """([(path in the folder, file)] sorted by name, what is left out). A linked folder is followed once."""
    files: list[tuple[str, Path]] = []
    left: list[LeftOut] = []
    seen = {os.path.realpath(root)}

    def inside(folder: str, prefix: str) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            left.append(left_out(str(root), prefix.rstrip("/"), "not readable"))
            return
        for entry in entries:
            name = prefix + entry.name
            if is_hidden(entry.name):
                left.append(left_out(str(root), name, "hidden"))
            elif entry.is_dir():
                real = os.path.realpath(entry.path)
                if real in seen:
                    left.append(left_out(str(root), name, "linked twice"))
                else:
                    seen.add(real)
                    inside(entry.path, f"{name}/")
            elif entry.is_file():
                files.append((name, Path(entry.path)))
            else:
                left.append(left_out(str(root), name, "broken link" if entry.is_symlink() else "unknown ending"))

    inside(str(root), "")
    return files, left


def find_shards(source: str) -> tuple[list[Path], list[LeftOut]]:
    """(the tar files that `source` names, what is left out): a folder with its subfolders, a file, or a brace pattern such as
    set/{000..012}.tar.

    Raises ConfigError if there are none."""
    if is_remote(source):
        raise ConfigError(f"data.source={source}: only local paths are read; nothing from outside is executed")
    path, left = Path(source), list[LeftOut]()
    if path.is_dir():
        files, left = walk(path)
        found = [file for name, file in files if name.lower().endswith(".tar")]
        for name, _ in files:
            if name.lower().endswith(PACKED):
                left.append(left_out(source, name, "compressed shard"))
            elif not name.lower().endswith(".tar"):
                left.append(left_out(source, name, "unknown ending"))
        left = shortened(left)
        if not found:
            raise ConfigError(f"data.source={source}: no .tar in that folder; it holds {told(left) or 'nothing'}")
        return found, left
    found = [path] if path.exists() else _expanded(source)
    missing = [str(p) for p in found if not p.is_file()]
    if missing or not found:
        raise ConfigError(f"data.source={source}: no such shard: {missing[0] if missing else source}")
    return found, left


def _expanded(source: str) -> list[Path]:
    """The paths that a brace pattern names. Raises ConfigError."""
    from braceexpand import braceexpand

    try:
        return [Path(p) for p in braceexpand(source)]
    except ValueError as e:
        raise ConfigError(f"data.source={source}: not a brace pattern: {e}") from e
