"""A remote shard as the readers of shards see it: it has of a path what they use, and is fetched when its file is opened."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from .cache import NodeCache
from .transport import Head
from .urls import OBJECTS, split

AGAIN = 100  # times that a shard is fetched which is deleted before it is opened


class State(NamedTuple):
    """What stands for the state of a file: its size in bytes, and numbers that its tag decides, of a web server also its URL."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_ino: int = 0


@dataclass(frozen=True)
class RemoteShard:
    """A shard at a URL. As a text it is its URL; as a path (`os.open`, `open`) it is the file in the cache, fetched first."""

    url: str
    head: Head
    cache: NodeCache

    def __str__(self) -> str:
        return self.url

    def __fspath__(self) -> str:
        return str(self.cache.fetch(self.url, self.head))

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> str:
        return self.url.rpartition("/")[0]

    def stat(self) -> State:
        """Its state, without fetching it."""
        store = split(self.url).scheme in OBJECTS and self.head.tag
        said = self.head.tag if store else f"{self.url} {self.head.tag}"  # a web server's tag is a time, or made of one
        number = int(hashlib.sha256(said.encode()).hexdigest()[:15], 16)
        return State(self.head.size, number, number)

    def resolve(self) -> PurePosixPath:
        """A path that no other shard has, without fetching it."""
        return PurePosixPath(self.url)

    def is_file(self) -> bool:
        return True

    def exists(self) -> bool:
        return True

    def read_bytes(self) -> bytes:
        with self.open("rb") as file:
            return file.read()

    def open(self, mode: str = "rb", buffering: int = -1) -> IO[Any]:
        """The open file. Raises ConfigError if it cannot be fetched."""
        return open(open_shard(self), mode, buffering)

    def present(self) -> bool:
        """Whether it is in the cache."""
        return self.cache.has(self.url, self.head)


def open_shard(shard: Path | RemoteShard) -> int:
    """The number of the open file of a shard, local or remote. A remote one may be deleted from the cache before it is opened;
    it is fetched again then. Raises OSError, ConfigError."""
    for _ in range(AGAIN if isinstance(shard, RemoteShard) else 0):
        try:
            return os.open(shard, os.O_RDONLY)
        except FileNotFoundError:
            continue
    return os.open(shard, os.O_RDONLY)
