"""Files that are written completely or not at all, and their hashes."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import resource
import shutil
import socket
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from tokenize import TokenError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk is full, the quota is used up, the file is too large
NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)  # there is nothing of that name, or a folder
# What is so of a file itself, and will be so at the next try.
LASTING = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.ENXIO),
    *(errno.ELOOP, errno.ENAMETOOLONG, errno.EOVERFLOW),
)
OPEN_FILES = 64  # of one reader, at most; it reads sets of more files than a process may have open
SHARE = 32  # a reader opens one of so many files that the process may open, because there are several readers
PARTIAL = ".partial"
DAMAGED = (  # what numpy and zipfile raise for a file of arrays that is not whole
    *(ValueError, EOFError, KeyError, TypeError, RuntimeError, OverflowError, MemoryError, SyntaxError, AttributeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, TokenError),
)
ABANDONED = 3600  # seconds without a write until a partial file counts as abandoned


def unwritable(place: Path) -> str:
    """Why nothing can be written to this path: what the system says of the nearest folder above it. Empty if something can."""
    above = place.absolute()
    try:
        while not above.exists():
            above = above.parent
        os.rmdir(mkdtemp(dir=above))
        return ""
    except (OSError, ValueError) as e:
        return f"{above}: {e.strerror if isinstance(e, OSError) else e}"


def _beside(path: Path) -> Path:
    """A partial file's name beside `path` that no other process on any machine uses. Partial files that killed processes
    left there, and that nobody wrote to for an hour, are removed."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*{PARTIAL}"):
        with suppress(OSError):  # another process may remove it too
            if time.time() - max(p.stat().st_mtime for p in (left, *left.rglob("*"))) > ABANDONED:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{PARTIAL}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a partial file to write to. It is renamed to `path` when it is on the disk; after an error it is removed.

    Raises OSError if there is no room, even if torch or safetensors raised another error for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(path)
    try:
        yield partial
        _to_disk(partial)
        partial.chmod(0o644)  # safetensors makes its files private
        partial.replace(path)
    except BaseException as e:
        partial.unlink(missing_ok=True)
        if number := _no_room(e):
            raise OSError(number, os.strerror(number), str(path)) from e
        if isinstance(e, OSError) and str(e.filename) == str(partial):
            raise OSError(e.errno, e.strerror, str(path)) from e  # by the name that people know
        raise


def check_file(path: Path) -> None:
    """Raises OSError for what is no file: a folder, a link to nothing, or a pipe, which would wait for its other end."""
    if (path.exists() or path.is_symlink()) and not path.is_file():
        raise OSError(errno.EISDIR, "not a file", str(path))


def _to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk. Not every file system can do that for a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as e:
        if _no_room(e) or not path.is_dir():
            raise
    finally:
        os.close(handle)


def reserve(path: Path) -> None:
    """Give a file all of its room on the disk. Without that, a memory map that is written to while the disk is full ends the
    process (SIGBUS). Raises OSError if there is no room."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as e:
                if e.errno in NO_ROOM:  # some systems cannot do it
                    raise OSError(e.errno, e.strerror, str(path)) from None


def raise_passing(error: OSError) -> None:
    """Raise an error that says nothing of the file, such as a full disk or a server that does not answer. What follows from
    another error may be stored."""
    if (
        error.errno is not None and error.errno not in LASTING
    ):  # without a number it is a library's word on a damaged file
        raise error


def _no_room(error: BaseException | None) -> int:
    """The system's error number if no room is the cause of an error, else 0. torch raises another error on top of it;
    safetensors has the number in its message."""
    while error is not None:
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = error.errno if isinstance(error, OSError) else int(found[1]) if found else 0
        if number in NO_ROOM:
            return number
        error = error.__context__
    return 0


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a partial folder to write to. It is renamed to `path` when it is complete; after an error it is removed. If
    another process was faster, the folder of that process is kept."""
    partial = _beside(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in partial.rglob("*"):
            _to_disk(file)
        _to_disk(partial)
        try:
            partial.rename(path)
        except OSError as e:
            if not path.is_dir():
                raise OSError(e.errno, e.strerror, str(path)) from e
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, "utf-8")


def is_safetensors(path: Path) -> bool:
    """Whether a file looks like safetensors: it begins with the length of a table that fits into the file, then a brace."""
    with path.open("rb") as f:
        length = int.from_bytes(f.read(8), "little")
        return f.read(1) == b"{" and length < path.stat().st_size


def open_files() -> int:
    """How many files a reader of many may keep open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return OPEN_FILES if limit < 0 else max(1, min(OPEN_FILES, limit // SHARE))


def not_safetensors(path: Path) -> str:
    """What a file is that is no safetensors file, and what to do."""
    with path.open("rb") as f:
        start = f.read(64)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return "a pickle, which can execute code; save it as safetensors (safe_serialization=True in diffusers)"
    if start[:4] == b"GGUF":
        return "GGUF, whose weights are quantised; give the safetensors that it was made from"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the weights themselves; git lfs pull fetches them"
    return "not a safetensors file" + ("" if start else " but an empty one; copy it again")


def sha256(path: Path) -> str:
    """The SHA-256 of a file: 64 hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """The first twelve digits of a file's SHA-256. Records and passports name files by it."""
    return sha256(path)[:12]
