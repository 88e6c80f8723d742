"""The shards that a URL names, with their sizes and tags. What servers said is kept, so that a set can be used offline as far
as its shards are in the cache, and all ranks of a start ask once."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
import time
from pathlib import Path
from typing import cast

from ...config.errors import ConfigError
from ...files import write_text
from ...locks import alone
from ..shards import braces_expanded
from . import objects
from .cache import NodeCache
from .failures import Failed, Gone, Offline
from .shard import RemoteShard
from .transport import Head, as_error, heads_of
from .urls import OBJECTS, faults_of, is_url, masked, split

log = logging.getLogger(__name__)
FRESH = 600.0  # seconds for which the answers of servers are taken as they are
MOST = 10**6  # shards of a set


def faults(source: str) -> list[str]:
    """Why a remote source cannot be used, each with its remedy, without asking anybody."""
    if not is_url(source):
        return ["only local paths, and https, http, s3 and gs are read; nothing from outside is executed"]
    found = list(faults_of(source))
    if not found and split(source).scheme in OBJECTS and not objects.installed():
        found.append(objects.INSTALL)
    return found


def remote_shards(source: str, cache: NodeCache, words: str = "") -> list[Path]:
    """The shards that a URL names: one, a pattern with braces, or in an object store also a pattern with * or a folder. They
    have of a path what the readers of shards use. `words` names the source in messages. Raises ConfigError."""
    said = words or f"data.source={masked(source)}"
    if wrong := faults(source):
        raise ConfigError(f"{said}: {wrong[0]}")
    known = cache.folder / "sets" / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.json"
    with alone(known):
        heads = _kept(known, FRESH)
        if heads is None:
            heads = _asked(source, said, known)
    if not heads:
        raise ConfigError(f"{said}: no such shard")
    return cast("list[Path]", [RemoteShard(url, head, cache) for url, head in heads.items()])


def _asked(source: str, said: str, known: Path) -> dict[str, Head]:
    """What the servers say of all shards. If they cannot be reached, what they said before, with a warning."""
    try:
        urls = _named(source, said)
        found = heads_of(urls)
    except Failed as e:
        urls, found = [source], [e]
    bad = {url: one for url, one in zip(urls, found, strict=True) if isinstance(one, Failed)}
    old = _kept(known) if any(isinstance(one, Offline) for one in bad.values()) else None
    if old:
        log.warning("%s: the host cannot be reached; the set is taken as it was when it was listed last", said)
        return old
    gone = [url for url, one in bad.items() if isinstance(one, Gone)]
    for url, one in bad.items():
        if not isinstance(one, Gone):
            raise as_error(f"data.source={url}", one)
    if gone:
        more = f" ({len(gone)} of {len(urls)} are missing)" if len(urls) > 1 else ""
        raise ConfigError(f"{said}: no such shard: {gone[0]}{more}")
    heads = {url: one for url, one in zip(urls, found, strict=True) if isinstance(one, Head)}
    write_text(known, json.dumps({url: [head.size, head.tag] for url, head in heads.items()}))
    return heads


def _named(source: str, said: str) -> list[str]:
    """The URLs that a source names. Raises ConfigError, Failed."""
    try:
        urls = braces_expanded(source, MOST)
    except ValueError as e:
        raise ConfigError(f"{said}: not a brace pattern: {e}") from e
    found = []
    for url in urls:
        if split(url).scheme in OBJECTS and (set("*[") & set(url) or not url.endswith(".tar")):
            prefix = url.partition("*")[0].partition("[")[0]
            pattern = url if set("*[") & set(url) else url.rstrip("/") + "/*.tar"
            found += [one for one in objects.listed(prefix) if fnmatch.fnmatchcase(one, pattern)]
        else:
            found.append(url)
    return list(dict.fromkeys(found))


def _kept(known: Path, age: float | None = None) -> dict[str, Head] | None:
    """What servers said before; None if nothing is kept, or it is older than `age` seconds."""
    try:
        if age is not None and time.time() - known.stat().st_mtime > age:
            return None
        stored = json.loads(known.read_bytes())
        return {str(url): Head(int(size), str(tag)) for url, (size, tag) in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
