"""What fetching means, whatever fetches: the size and tag of a shard, its bytes from a place on, and the kinds of failure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from ...config.errors import ConfigError
from . import objects, web
from .failures import Failed, Passing
from .urls import OBJECTS, split

T = TypeVar("T")
TRIES = 8  # in a row without progress, until a fetch is given up
QUICK = 3  # tries of a look-up, before anything was read
TOGETHER = 16  # look-ups at a time
FIRST, LONGEST = 0.5, 30.0  # seconds of the first and of the longest pause between two tries


@dataclass(frozen=True)
class Head:
    """What a server says of a shard: its size in bytes, and its tag (empty if the server gives none), which is another one for
    other contents."""

    size: int
    tag: str


def heads_of(urls: Sequence[str]) -> list[Head | Failed]:
    """The size and the tag of each shard, or why they are not known; each is asked for QUICK times at most."""
    if urls and split(urls[0]).scheme in OBJECTS:
        found = tried(lambda: objects.heads(urls))
        return [one if isinstance(one, Failed) else Head(*one) for one in found]

    def asked(url: str) -> Head | Failed:
        try:
            return Head(*tried(lambda: web.head(url)))
        except Failed as e:
            return e

    with ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(asked, urls))


def read_from(url: str, start: int, head: Head) -> Iterator[bytes]:
    """The bytes of a shard from `start` on. Raises Failed, also in the middle; Changed if its tag or size is another one."""
    module = objects if split(url).scheme in OBJECTS else web
    return module.read(url, start, head.size, head.tag)


def pause(attempt: int, asked: float = 0.0) -> float:
    """Seconds to wait before another try: twice as long each time, not the same for all processes, at least what the server
    `asked` for."""
    return max(min(asked, 2 * LONGEST), min(LONGEST, FIRST * 2**attempt) * random.uniform(0.5, 1))


def tried(work: Callable[[], T], tries: int = QUICK) -> T:
    """The result of `work`, which is called again while it raises Passing. Raises the last Failed."""
    for attempt in range(tries):
        try:
            return work()
        except Passing as e:
            if attempt + 1 == tries:
                raise
            time.sleep(pause(attempt, e.after))
    raise AssertionError("no try")


def as_error(url: str, failed: Failed) -> ConfigError:
    """A failure as the line that a user reads."""
    return ConfigError(f"{url}: {failed}")
