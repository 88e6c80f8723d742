"""Writing WebDataset shards, and finding the shards that a user names."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..config.errors import ConfigError
from .sample import Sample

Progress = Callable[[str, int, int], None]  # (split, number of finished samples, number of all samples)


def digest(value: Any) -> str:
    """The first twelve hexadecimal digits of the SHA-256 of a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def is_remote(source: str) -> bool:
    """Whether a source is a URL or a command (pipe:), not a local path."""
    return source.startswith("pipe:") or "://" in source


def find_shards(source: str) -> list[Path]:
    """The tar files that `source` names: a folder, a file, or a brace pattern such as set/{000..012}.tar.

    Raises ConfigError if there are none."""
    import webdataset  # here, because it takes a second to import

    if is_remote(source):
        raise ConfigError(f"data.source={source}: only local paths are read; nothing from outside is executed")
    path = Path(source)
    try:
        found = (
            sorted(path.glob("*.tar"))
            if path.is_dir()
            else [Path(p) for p in webdataset.shardlists.expand_urls(source)]
        )
    except ValueError as e:
        raise ConfigError(f"data.source={source}: not a brace pattern: {e}") from e
    missing = [str(p) for p in found if not p.is_file()]
    if missing or not found:
        raise ConfigError(f"data.source={source}: no such shard: {missing[0] if missing else '*.tar in that folder'}")
    return found


def write_shards(samples: Iterable[Sample], folder: Path, split: str, size: int) -> int:
    """Write samples to `folder`/`split`-NNNNNN.tar, `size` samples in each: KEY.png, KEY.txt, KEY.json. Returns their number.

    Raises ConfigError for a key with a dot, because WebDataset ends a key at its first dot."""
    import webdataset

    count, writer = 0, None
    for sample in samples:
        if "." in sample.key:
            raise ConfigError(f"sample {sample.key}: its key must have no dot; what follows it says what a member is")
        if count % size == 0:
            if writer is not None:
                writer.close()
            writer = webdataset.TarWriter(str(folder / f"{split}-{count // size:06d}.tar"), mtime=0)
        png = io.BytesIO()
        sample.picture.save(png, "PNG", compress_level=1)
        record = {"labels": sample.labels, "key": sample.key, "contrast": sample.hard_negative}
        assert writer is not None
        writer.write(
            {"__key__": sample.key, "png": png.getvalue(), "txt": sample.caption, "json": json.dumps(record).encode()}
        )
        count += 1
    if writer is not None:
        writer.close()
    return count
