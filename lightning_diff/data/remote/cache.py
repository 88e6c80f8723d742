"""A bounded cache of whole shards on a node's disk, shared by all of its processes.

A shard is NAME-ID.tar, where ID follows from its address, size and tag: another content is another file. A note beside it,
NAME-ID.json, says that the cache made the file, and when it was used last (the note's time). Only files with such a note are
ever deleted, those first that were used longest ago; a file that is not as the note says is foreign. A note is written before
a download, so that its room is kept; what a killed process left goes on where it ended.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ...config.errors import ConfigError
from ...locks import Held, lock
from .failures import Changed, Failed, Passing
from .transport import TRIES, Head, as_error, pause, read_from

log = logging.getLogger(__name__)
GRACE = 1.0  # seconds after its last use in which a shard is not deleted: who asked for it may not have opened it yet
PATIENCE = 600.0  # seconds to wait for room that other processes use
PROGRESS = 1 << 20  # bytes after which the tries are counted anew
_threads: dict[str, threading.Lock] = {}  # the system's locks are of a process; these keep its threads apart
os.register_at_fork(after_in_child=_threads.clear)  # the threads that held them are not there


@dataclass(frozen=True)
class Entry:
    """What a note says: the note, the bytes that the shard takes, and when it was used last."""

    note: Path
    size: int
    used: float

    @property
    def place(self) -> Path:
        return self.note.with_suffix(".tar")


@dataclass(frozen=True)
class NodeCache:
    """The cache in `folder`, of at most `most` bytes."""

    folder: Path
    most: int

    def place(self, url: str, head: Head) -> Path:
        """Where a shard lies, or will lie."""
        mark = hashlib.sha256(json.dumps([url, head.size, head.tag]).encode()).hexdigest()[:16]
        name = unquote(url.rpartition("/")[2]).removesuffix(".tar")
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:80].strip(".")
        return self.folder / f"{safe or 'shard'}-{mark}.tar"

    def has(self, url: str, head: Head) -> bool:
        """Whether the shard is there. Raises ConfigError if another file has its name."""
        return self._whole(self.place(url, head))

    def fetch(self, url: str, head: Head, wait: bool = True, write: Callable[[Path], object] | None = None) -> Path:
        """The shard's file. It is fetched (or made by `write`) if it is not there; processes and threads that want the same wait
        for the one that fetches it, or without `wait` raise Held. Raises ConfigError."""
        place = self.place(url, head)
        if not self._whole(place):
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone(self._bucket(place), wait):
                if not self._whole(place):
                    self._make_room(place, url, head)
                    part = place.with_suffix(".part")
                    try:
                        write(part) if write else _download(url, head, part)
                    except ConfigError as e:
                        if isinstance(e.__cause__, Changed):
                            self._ask_again()
                        raise
                    self._finish(place, url, head)
        with suppress(OSError):
            os.utime(place.with_suffix(".json"))
        return place

    def _ask_again(self) -> None:
        """What servers said of the sets counts as old, so that they are asked at the next try."""
        for kept in self.folder.glob("sets/*.json"):
            with suppress(OSError):
                os.utime(kept, (0, 0))

    def entries(self) -> list[Entry]:
        """The shards that the cache has made or makes, those first that were used longest ago."""
        found = []
        for note in self.folder.glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                state = _state_or_none(
                    note.with_suffix(".tar")
                )  # before its note: who ends a download writes the note first
                said = json.loads(note.read_bytes())
                if state not in (None, said["file"]):
                    continue  # foreign
                found.append(Entry(note, int(said["size"]), note.stat().st_mtime))
        return sorted(found, key=lambda one: one.used)

    def _whole(self, place: Path) -> bool:
        try:
            state = _state(place)
        except OSError:
            return False
        try:
            said = json.loads(place.with_suffix(".json").read_bytes())["file"]
        except (OSError, ValueError, KeyError, TypeError):
            said = None
        if said != state:
            raise ConfigError(f"{place}: not the file that was fetched to here; move it away, and the shard is fetched")
        return True

    def _bucket(self, place: Path) -> str:
        """The lock of a shard. There are 256, so that no lock need ever be deleted."""
        return str(self.folder / "locks" / f"{place.stem[-2:]}.lock")

    @contextmanager
    def _alone(self, name: str, wait: bool = True) -> Iterator[None]:
        """Alone among all threads of all processes. Without `wait` raises Held."""
        thread = _threads.setdefault(name, threading.Lock())
        if not thread.acquire(blocking=wait):
            raise Held("another thread")
        try:
            file = lock(Path(name), wait)
            try:
                yield
            finally:
                file.close()
        finally:
            thread.release()

    def _make_room(self, place: Path, url: str, head: Head) -> None:
        """Delete what was used longest ago until a shard has room, and keep that room with its note. Raises ConfigError."""
        if head.size > self.most:
            raise ConfigError(
                f"data.cache_gb={self.most / 1e9:g}: {url} alone has {head.size / 1e9:.3g} GB; allow more, at least two shards"
            )
        until, note = time.monotonic() + PATIENCE, place.with_suffix(".json")
        while True:
            with self._alone(str(self.folder / "locks" / "room.lock")):
                others = [one for one in self.entries() if one.note != note]
                over = sum(one.size for one in others) + head.size - self.most
                for one in others:
                    if over > 0 and time.time() - one.used > GRACE and self._delete(one, self._bucket(place)):
                        over -= one.size
                if over <= 0:
                    note.write_text(json.dumps({"url": url, "size": head.size, "tag": head.tag, "file": None}))
                    return
            if time.monotonic() > until:
                raise ConfigError(
                    f"data.cache_gb={self.most / 1e9:g}: all of it is in use by processes that fetch; allow more"
                )
            time.sleep(0.05)

    def _delete(self, one: Entry, mine: str) -> bool:
        """Delete a shard, unless somebody fetches it. `mine` is the lock that is held already."""
        bucket = self._bucket(one.place)
        try:
            if bucket == mine:
                _remove(one)
            else:
                with self._alone(bucket, wait=False):
                    _remove(one)
        except Held:
            return False
        return True

    def _finish(self, place: Path, url: str, head: Head) -> None:
        part, note = place.with_suffix(".part"), place.with_suffix(".json")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        said = {"url": url, "size": head.size, "tag": head.tag, "file": _state(part)}
        beside = note.with_suffix(".note")
        beside.write_text(json.dumps(said))
        beside.replace(note)
        part.replace(place)


def _download(url: str, head: Head, part: Path) -> None:
    """Fetch a shard into `part`, from where an earlier try ended. Raises ConfigError."""
    attempt = 0
    if not head.tag:  # what lies there may be of another content
        part.unlink(missing_ok=True)
    while True:
        start = part.stat().st_size if part.is_file() else 0
        if start > head.size:
            part.unlink()
            start = 0
        try:
            with part.open("ab") as file:
                for some in read_from(url, start, head) if start < head.size else ():
                    file.write(some)
            if part.stat().st_size == head.size:
                return
            raise Passing("the server sent less than it said")
        except Passing as e:
            came = part.stat().st_size - start
            attempt = 0 if came >= PROGRESS else attempt + 1
            if attempt >= TRIES:
                raise ConfigError(
                    f"{url}: {e}, {TRIES} times in a row; give the command again when it is mended"
                ) from e
            log.debug("%s: %s; another try", url, e)
            time.sleep(pause(attempt, e.after))
        except Failed as e:
            if isinstance(e, Changed):
                part.unlink(missing_ok=True)
            raise as_error(url, e) from e


def _state(path: Path) -> list[int]:
    now = path.stat()
    return [now.st_size, now.st_mtime_ns]


def _state_or_none(path: Path) -> list[int] | None:
    try:
        return _state(path)
    except OSError:
        return None


def _remove(one: Entry) -> None:
    """Delete a shard or what there is of it, its note last: without one, nobody would count the bytes."""
    place = one.place
    if _state_or_none(place) == json.loads(one.note.read_bytes())["file"]:
        place.unlink(missing_ok=True)
    place.with_suffix(".part").unlink(missing_ok=True)
    one.note.unlink(missing_ok=True)
