"""An index of tar shards: the places of each sample's members, so that a sample can be read by its number.

WebDataset's own reader cannot resume and does not say which samples it lost: a bad header in the middle ends a shard
silently. Here each shard is read through once, its members are counted, and unusable samples are named in the log.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config.errors import ConfigError
from ..files import whole_file

log = logging.getLogger(__name__)
PICTURES = ("jpg", "jpeg", "png", "webp")
TEXTS = ("txt", "json")
VERSION = 2  # of the way a shard is read; an index of another version is made anew


@dataclass
class Index:
    """`spans` int64 [N, 7]: number of the shard, then offset and size (bytes) of picture, txt and json (size 0: none)."""

    shards: list[Path]
    spans: np.ndarray
    keys: np.ndarray
    skipped: int

    def __len__(self) -> int:
        return len(self.spans)

    def fingerprint(self) -> str:
        """A hash of the samples' keys and of the places and sizes of their members."""
        return hashlib.sha256(self.spans.tobytes() + "\0".join(self.keys.tolist()).encode()).hexdigest()[:16]


class ShardReader:
    """Reads members with `os.pread`. It shares no file position, so every worker may use it."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._files: dict[tuple[int, int], int] = {}

    def read(self, i: int) -> tuple[bytes, str, dict[str, Any]]:
        """(picture bytes, caption, record) of sample i. The caption is KEY.txt, else the record's "caption"."""
        shard, *spans = (int(v) for v in self.index.spans[i])
        handle = self._files.get((os.getpid(), shard))
        if handle is None:
            handle = self._files[os.getpid(), shard] = os.open(self.index.shards[shard], os.O_RDONLY)
        picture, text, record = (
            os.pread(handle, size, offset) for offset, size in zip(spans[::2], spans[1::2], strict=True)
        )
        fields = record_of(record)
        return picture, caption_of(text, fields), fields


def record_of(data: bytes) -> dict[str, Any]:
    """The table in a json member; empty if there is none."""
    try:
        fields = json.loads(data) if data else {}
    except ValueError:  # UnicodeDecodeError is one
        fields = {}
    return fields if isinstance(fields, dict) else {}


def caption_of(text: bytes, fields: dict[str, Any]) -> str:
    """The caption: KEY.txt, else the record's "caption"; empty if both are empty."""
    said = text.decode("utf-8-sig", "replace").strip()
    return said or str(fields.get("caption") or "").strip()


def _walk(path: Path) -> tuple[list[tuple[str, list[int]]], int]:
    """([(key, spans)] of the complete samples of one tar, number of samples that were left out)."""
    found: dict[str, list[int]] = {}
    size = path.stat().st_size
    damaged = 0
    captioned: set[str] = set()
    try:
        with tarfile.open(path, "r:") as tar, path.open("rb") as raw:
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, name = member.name.rpartition("/")
                key, _, suffix = name.partition(".")
                suffix = suffix.lower()
                column = 0 if suffix in PICTURES else 2 if suffix == "txt" else 4 if suffix == "json" else None
                if column is None:
                    continue
                if member.offset_data + member.size > size:
                    damaged += 1
                    continue
                key = f"{folder}/{key}" if folder else key
                spans = found.setdefault(key, [0] * 6)
                if spans[column + 1]:
                    damaged += 1
                    log.warning("%s: sample %s has two members %s; the first is used", path, key, suffix)
                    continue
                spans[column : column + 2] = [member.offset_data, member.size]
                if column:
                    data = os.pread(raw.fileno(), member.size, member.offset_data)
                    if caption_of(data, {}) if column == 2 else caption_of(b"", record_of(data)):
                        captioned.add(key)
            # tarfile takes a damaged header for the end. At the real end there are only empty blocks.
            raw.seek(tar.offset)
            if tar.offset >= size or any(block.strip(b"\0") for block in iter(lambda: raw.read(1 << 20), b"")):
                damaged += 1
                log.warning("%s: damaged after byte %d; what follows is left out", path, tar.offset)
    except tarfile.TarError as e:
        damaged += 1
        log.warning("%s: %s; what follows is left out", path, e)
    usable = [(key, s) for key, s in found.items() if s[1] and key in captioned]
    for key, s in found.items():
        if not (s[1] and key in captioned):
            log.warning("%s: sample %s has no %s and is left out", path, key, "caption" if s[1] else "picture")
    return usable, len(found) - len(usable) + damaged


def index_place(shards: Sequence[Path], cache: Path) -> Path:
    """The path of the index of these shards; its name is a hash of their paths, sizes and times."""
    stats = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in shards]
    return cache / "index" / (hashlib.sha256(json.dumps([VERSION, stats]).encode()).hexdigest()[:16] + ".npz")


def build_index(shards: Sequence[Path], cache: Path) -> Index:
    """The index of these shards. It is stored in `cache`. Raises ConfigError if there is no usable sample."""
    kept = index_place(shards, cache)
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as arrays:
            return Index(list(shards), arrays["spans"], arrays["keys"], int(arrays["skipped"]))
    rows, names, skipped = [], [], 0
    for number, path in enumerate(shards):
        usable, left_out = _walk(path)
        skipped += left_out
        rows += [[number, *spans] for _, spans in usable]
        names += [key for key, _ in usable]
    if not rows:
        raise ConfigError(f"no usable sample in {len(shards)} shards ({shards[0] if shards else 'none'}, ...)")
    if skipped:
        log.warning("%d of %d samples were left out", skipped, skipped + len(rows))
    index = Index(list(shards), np.asarray(rows, np.int64), np.asarray(names), skipped)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(kept) as partial, partial.open("wb") as f:
        np.savez(f, spans=index.spans, keys=index.keys, skipped=skipped)
    return index
