"""A ledger of files: the hash of each file's content, computed again only when the file has changed.

A file counts as unchanged if its size, its times and its number on the disk are. A copy that keeps the time of the old file
still has another time of change (ctime).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...files import sha256, write_text


def content_hashes(paths: Sequence[Path], kept: Path, told: Callable[[int], None] = lambda done: None) -> list[str]:
    """The SHA-256 of each file, in order. `kept` is the ledger's own file. A file that cannot be read has the hash ""."""
    try:
        stored = json.loads(kept.read_bytes())
        known: dict[str, list[object]] = {k: v for k, v in stored.items() if isinstance(v, list) and len(v) == 5}
    except (OSError, ValueError, AttributeError, RecursionError):
        known = {}
    found: dict[str, list[object]] = {}

    def read(path: Path) -> str:
        try:
            now = path.stat()
            state = [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino]
            name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
            old = known.get(name)
            content = str(old[-1]) if old and old[:-1] == state else sha256(path)
        except OSError:
            return ""
        found[name] = [*state, content]
        return content

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = []
        for content in pool.map(read, paths):
            hashes.append(content)
            told(len(hashes))
    if found != known:
        write_text(kept, json.dumps(found))
    return hashes
