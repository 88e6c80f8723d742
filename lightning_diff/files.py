"""Files that are whole or not there, their hashes, and locks that are never stale. For all rooms; it knows none of them."""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # on the disk, in a quota, within a limit of a file's size
PARTIAL = ".partial"
ABANDONED = 3600  # seconds


class Held(Exception):
    """Another process holds the lock; says which."""


def _beside(path: Path) -> Path:
    """A name of this process's own, on whichever machine it runs. What killed processes have left there, which nobody has
    written to for an hour, is removed."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*{PARTIAL}"):
        with suppress(OSError):  # another process may be at it too
            if time.time() - max(p.stat().st_mtime for p in (left, *left.rglob("*"))) > ABANDONED:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{PARTIAL}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file: beside `path`, whose place it takes once it is on the disk. On an error nothing is left; raises
    OSError where there is no room for it, whatever torch or safetensors made of that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(path)
    try:
        yield partial
        with partial.open("rb") as f:
            os.fsync(f.fileno())
        partial.chmod(0o644)  # safetensors makes its files private
        partial.replace(path)
    except BaseException as e:
        partial.unlink(missing_ok=True)
        if number := _no_room(e):
            raise OSError(number, os.strerror(number), str(path)) from e
        raise


def _no_room(error: BaseException | None) -> int:
    """The system's number for it, if that is behind an error: torch finds fault with the file that it ended on, and
    safetensors has the number in its words."""
    while error is not None:
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = error.errno if isinstance(error, OSError) else int(found[1]) if found else 0
        if number in NO_ROOM:
            return number
        error = error.__context__
    return 0


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Where to write a folder: beside `path`, whose place it takes when it is complete; if another process was faster,
    what that one made is kept. On an error nothing is left."""
    partial = _beside(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        try:
            partial.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, "utf-8")


def is_safetensors(path: Path) -> bool:
    """By its first bytes: the length of a table that fits into the file, and the table's opening brace."""
    with path.open("rb") as f:
        length = int.from_bytes(f.read(8), "little")
        return f.read(1) == b"{" and length < path.stat().st_size


def sha256(path: Path) -> str:
    """64 hexadecimal digits, of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """The first twelve digits of the file's SHA-256: how records and passports name it."""
    return sha256(path)[:12]


def lock(path: Path, wait: bool) -> IO[str]:
    """Held until the file is closed or the process ends, however it ends: the system lets go of it, so that no lock is ever
    stale. (A record lock: worker processes do not inherit it; NFS and Lustre pass it on to other machines.) Raises Held
    unless it waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.seek(0)
        holder = " ".join(file.read().split()) or "another process"
        file.close()
        raise Held(holder) from None
    file.truncate(0)
    job = os.environ.get("SLURM_JOB_ID")
    file.write(f"process {os.getpid()} on {socket.gethostname()}{f' (SLURM job {job})' if job else ''}")
    file.write(time.strftime(", since %Y-%m-%d %H:%M:%S\n"))
    file.flush()
    return file


def holder(path: Path) -> str | None:
    """Who holds the lock; None if nobody does. Writes nothing."""
    if not path.is_file():
        return None
    with path.open() as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return " ".join(file.read().split()) or "another process"
    return None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time does what makes `path`; the others wait here, and find it made."""
    file = lock(path.with_name(f"{path.name}.lock"), wait=True)
    try:
        yield
    finally:
        file.close()


def shared(path: Path, count: int, done: Callable[[int], bool], first: int = 0) -> Iterator[int]:
    """Work that processes do together, on one machine or many, without knowing of each other: yields the numbers below
    `count` that this one has to do, beginning at `first`, and ends when all are `done`, whoever did them. Byte i of the
    lock file `path` is locked while i is worked on; if its worker dies another one takes it over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        for wait in (False, True):
            for i in (*range(first, count), *range(first)):
                if done(i):
                    continue
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, i)
                except BlockingIOError:
                    continue
                try:
                    if not done(i):
                        yield i
                finally:
                    fcntl.lockf(file, fcntl.LOCK_UN, 1, i)
