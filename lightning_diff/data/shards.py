"""Writing WebDataset shards."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..config.errors import ConfigError
from ..sums import has_sum
from .sample import MARK, MARKED, Sample

CHECKED = 2**28  # bytes
Progress = Callable[[str, float, float], None]  # (what is counted, how many are finished, how many there are)


def digest(value: Any) -> str:
    """The first twelve hexadecimal digits of the SHA-256 of a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def is_remote(source: str) -> bool:
    """Whether a source is a URL or a command (pipe:), not a local path."""
    return source.startswith("pipe:") or "://" in source


class TooMany(ValueError):
    """A pattern names more than it may."""


def braces_expanded(pattern: str, most: int) -> list[str]:
    """The names that a pattern with braces stands for, as in set/{000..012}.tar. Raises TooMany if they are more than `most`,
    ValueError if it is no pattern."""
    from braceexpand import braceexpand

    ranges = re.findall(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.-?\d+)?\}", pattern)
    if math.prod(abs(int(last) - int(first)) + 1 for first, last in ranges) > most:
        raise TooMany(f"it names more than {most:,} shards")
    return list(braceexpand(pattern))


def write_shards(samples: Iterable[Sample], folder: Path, split: str, size: int) -> int:
    """Write samples to `folder`/`split`-NNNNNN.tar, `size` samples in each: KEY.png, KEY.txt, KEY.json. Returns their number.

    Raises ConfigError for a key with a dot, because WebDataset ends a key at its first dot."""
    count = 0
    some = iter(samples)
    while first := next(some, None):
        part = chain([first], islice(some, size - 1))
        count += write_shard(folder / f"{split}-{count // size:06d}.tar", map(_members, part))
    return count


def _members(sample: Sample) -> dict[str, Any]:
    if "." in sample.key:
        raise ConfigError(f"sample {sample.key}: its key must have no dot; what follows it says what a member is")
    png = io.BytesIO()
    sample.picture.save(png, "PNG", compress_level=1)
    record = {"labels": sample.labels, "key": sample.key, "contrast": sample.hard_negative, MARK: MARKED}
    return {"__key__": sample.key, "png": png.getvalue(), "txt": sample.caption, "json": json.dumps(record).encode()}


def damaged_shards(folder: Path, sums: Any) -> list[str]:
    """The shards of a folder that are gone, or not as they were written. `sums` holds the sum of each, by its name. A set that
    is larger than CHECKED is not read through here: its samples are checked when they are read."""
    if not isinstance(sums, dict):
        return []
    there = [name for name in sums if (folder / name).is_file()]
    small = sum((folder / name).stat().st_size for name in there) <= CHECKED
    changed = [name for name in there if small and not has_sum(folder / name, str(sums[name]))]
    return [*(name for name in sums if name not in there), *changed]


def write_shard(path: Path, members: Iterable[dict[str, Any]]) -> int:
    """Write one shard. Returns the number of its samples. The same members give the same bytes."""
    import webdataset  # here, because it takes a second to import

    count, writer = 0, webdataset.TarWriter(str(path), mtime=0)
    try:
        for count, sample in enumerate(members, 1):  # noqa: B007
            writer.write(sample)
    finally:
        writer.close()
    return count
