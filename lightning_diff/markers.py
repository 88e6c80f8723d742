"""Locks for file systems that have none: a marker, a file that exists while the lock is held.

A marker is created exclusively, so one process of all machines gets it. It says who holds it (machine, process, when that process
began), and its holder writes to it every BEAT seconds. A marker is stale if its process is of this machine and is gone, or if
nobody wrote to it for LOST seconds: times are compared with those of a file that is written beside it, so that only the file
server's clock counts. A stale marker is renamed, read again, and only then removed: a holder that came in between gets it back.

(filelock's SoftFileLock is the model; it never takes a dead machine's lock over.)
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

BEAT, LOST = 15.0, 180.0  # seconds
AGAIN = 0.25  # seconds until a held marker is looked at again


def machine() -> str:
    """This machine, and the space of its process numbers: two containers of one machine have unlike ones."""
    spaces = []
    with suppress(OSError):
        spaces.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        spaces.append(os.readlink("/proc/self/ns/pid"))
    return " ".join([socket.gethostname(), *spaces])


def began(process: int) -> str | None:
    """When a process of this machine began, in the kernel's clock ticks; "" if nobody can say; None if it is gone."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    return ""


class Marker:
    """A held lock. It is given back by close(), or at the end of the process."""

    def __init__(self, path: Path, said: str) -> None:
        self.path, self.process, self.said = path, os.getpid(), said
        self._closed = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()
        atexit.register(self.close)

    def __enter__(self) -> Marker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if os.getpid() != self.process or self._closed.is_set():  # a fork does not hold it
            return
        self._closed.set()
        atexit.unregister(self.close)
        if _read(self.path) == self.said:
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        """Say that this process lives. If another one has taken the lock over meanwhile, stop: this process slept too long."""
        while not self._closed.wait(BEAT):
            try:
                mine = _read(self.path) == self.said
                if mine:
                    os.utime(self.path)
            except OSError:
                continue  # the file server is away; the next beat asks again
            if not mine and not self._closed.is_set():
                print(f"{self.path}: another process has taken this lock over", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
                return


def take(path: Path, words: str, wait: bool) -> Marker | None:
    """Take the lock whose marker is `path`. `words` tell people who holds it. None if another process holds it, unless
    `wait`."""
    me = {"process": os.getpid(), "machine": machine(), "began": began(os.getpid()), "mark": secrets.token_hex(8)}
    said = f"{words}\n{json.dumps(me)}\n"
    while True:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            if _remove_stale(path):
                continue
            if not wait:
                return None
            time.sleep(AGAIN)
            continue
        with os.fdopen(handle, "w") as file:
            file.write(said)
            file.flush()
            with suppress(OSError):
                os.fsync(file.fileno())
        return Marker(path, said)


def holder_of(path: Path) -> str | None:
    """Who holds the lock whose marker is `path`, in words; None if nobody does."""
    said = _read(path)
    if said is None or _stale(path, said):
        return None
    return said.partition("\n")[0] or "another process"


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes()[:4096].decode("utf-8", "replace")
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ESTALE):
            return None
        raise


def _stale(path: Path, said: str) -> bool:
    """Whether the holder of a marker is gone. Where nothing tells, it is not."""
    try:
        fields = json.loads(said.partition("\n")[2])
        of, process, start = str(fields["machine"]), int(fields["process"]), str(fields["began"])
    except (ValueError, KeyError, TypeError, RecursionError):
        of, process, start = "", 0, ""  # it is being written, or it was cut
    if of == machine() and process > 0:
        now = began(process)
        return now is None or ("" not in (now, start) and now != start)
    return _age(path) > LOST


def _age(path: Path) -> float:
    """Seconds since a file was written, by the clock of its file system. Raises no OSError: a file that is gone is new."""
    probe = path.with_name(f"{path.name}.{secrets.token_hex(8)}.partial")
    try:
        probe.write_bytes(b"")
        return probe.stat().st_mtime - path.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _remove_stale(path: Path) -> bool:
    """Remove a marker whose holder is gone. Returns whether the marker may be made now."""
    said = _read(path)
    if said is None:
        return True
    if not _stale(path, said):
        return False
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.partial")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    if _read(aside) != said:  # another process took it over since it was read
        with suppress(OSError):
            aside.rename(path)
        return False
    aside.unlink(missing_ok=True)
    return True
