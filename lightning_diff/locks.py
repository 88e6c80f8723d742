"""Locks that never become stale, of a run, of a cache, and of work that processes share.

On a file system without locks, markers are used in their place (markers.py)."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .files import check_file
from .markers import Marker, holder_of, take

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


class Held(Exception):
    """Another process holds the lock. The message says which."""


def _no_locks(error: OSError) -> bool:
    return error.errno in NO_LOCKS


def _marker(path: Path, part: int | None = None) -> Path:
    """The marker that stands for a lock, or for the lock of one byte of it, on a file system without locks."""
    return path.with_name(f"{path.name}.held" if part is None else f"{path.name}.{part}.held")


def _me() -> str:
    """This process, in words."""
    job = os.environ.get("SLURM_JOB_ID")
    since = time.strftime("since %Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()}{f' (SLURM job {job})' if job else ''}, {since}"


def _opened(path: Path) -> IO[str]:
    """A lock file, made if it is not there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    check_file(path)
    return path.open("a+")


def lock(path: Path, wait: bool) -> IO[str] | Marker:
    """Take a lock and return it. The lock is held until it is closed or the process ends; the system then
    releases it, so a lock is never stale. (It is a record lock: worker processes do not inherit it, and it works across
    machines on NFS and Lustre.) Raises Held if another process holds it and `wait` is false."""
    file = _opened(path)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.seek(0)
        holder = " ".join(file.read().split()) or "another process"
        file.close()
        raise Held(holder) from None
    except OSError as e:
        file.close()
        if not _no_locks(e):
            raise
        while not (marker := take(_marker(path), _me(), wait)):
            if who := holder_of(_marker(path)):
                raise Held(who) from None
        return marker
    file.truncate(0)
    file.write(_me() + "\n")
    file.flush()
    return file


def holder(path: Path) -> str | None:
    """The process that holds a lock, in words; None if nobody holds it. Writes nothing, where there are locks."""
    if not path.is_file():
        return None
    with path.open() as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return " ".join(file.read().split()) or "another process"
        except OSError as e:
            if not _no_locks(e):
                raise
            return holder_of(_marker(path))
    return None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """A lock for making `path`: one process makes it, the others wait here and then find it made."""
    file = lock(path.with_name(f"{path.name}.lock"), wait=True)
    try:
        yield
    finally:
        file.close()


@contextmanager
def in_use(path: Path, tidy: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path` together with all other processes that are in here. A process that finds nobody else first calls
    `tidy`, alone; the others wait for it. Without locks, one process after the other is in here."""
    marker: IO[str] | Marker | None = None
    with _opened(path) as file:
        try:
            with suppress(BlockingIOError):
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                tidy()
            fcntl.lockf(file, fcntl.LOCK_SH)
        except OSError as e:
            if not _no_locks(e):
                raise
            marker = lock(path, wait=True)
        try:
            if marker:
                tidy()
            yield
        finally:
            if marker:
                marker.close()


def shared(
    path: Path, count: int, done: Callable[[int], bool], first: int = 0, names: Sequence[str] | None = None
) -> Iterator[int]:
    """Share work between processes, on one machine or many, that do not know of each other.

    Yields the numbers below `count` that this process has to do, beginning at `first`. Ends when all numbers are `done`, by
    whichever process. Byte i of the lock file `path` is locked while a process works on i; if that process dies, another
    one does i. With `names` the byte follows from the name of i, so that lists that have a part in common share that part."""
    with _opened(path) as file:
        for wait in (False, True):
            for i in (*range(first, count), *range(first)):
                byte = i if names is None else _byte(names[i])
                if done(i) or (release := _lock_byte(file, path, byte, wait)) is None:
                    continue
                try:
                    if not done(i):
                        yield i
                finally:
                    release()


def _byte(name: str) -> int:
    """The byte of a lock file that stands for a name. A byte that is locked need not be there."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:15], 16)


def _lock_byte(file: IO[str], path: Path, i: int, wait: bool) -> Callable[[], object] | None:
    """Lock byte i of a file, and return what releases it. None if another process holds it, unless `wait`."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, i)
    except BlockingIOError:
        return None
    except OSError as e:
        if not _no_locks(e):
            raise
        marker = take(_marker(path, i), _me(), wait)
        return marker.close if marker else None
    return lambda: fcntl.lockf(file, fcntl.LOCK_UN, 1, i)
