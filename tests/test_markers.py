"""Locks on a file system that has none: one process of all machines gets the lock, and a dead one's is taken over."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_diff import locks, markers
from lightning_diff.locks import Held, holder, in_use, lock, shared
from lightning_diff.markers import holder_of

HOLD = """
import errno, os, sys, time
from pathlib import Path
from lightning_diff import locks, markers
def none(*_): raise OSError(errno.ENOLCK, "No locks available")
locks.fcntl.lockf = none
markers.machine = lambda: sys.argv[2]
markers.BEAT = 0.1
held = locks.lock(Path(sys.argv[1]), False)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True, params=[errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(
        locks.fcntl,  # type: ignore[attr-defined]
        "lockf",
        unsupported,
    )


def on(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markers, "machine", lambda: machine)


def held_on(machine: str, path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, path, machine], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("machine", ["one", "two"])
def test_a_second_process_is_refused_and_a_dead_ones_lock_is_taken_over(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same machine: at once. Of another one: when nobody has written to the marker for LOST seconds."""
    first = held_on("one", tmp_path / "lock")
    on(machine, monkeypatch)
    monkeypatch.setattr(markers, "LOST", 2.0)
    time.sleep(2.5)  # it lives, and says so
    with pytest.raises(Held, match=f"process {first.pid} on .*, since "):
        lock(tmp_path / "lock", wait=False)
    assert str(holder(tmp_path / "lock")).startswith(f"process {first.pid} on ")
    first.kill()
    first.wait()
    if machine == "two":
        with pytest.raises(Held):
            lock(tmp_path / "lock", wait=False)
    second = lock(tmp_path / "lock", wait=machine == "two")
    assert str(holder(tmp_path / "lock")).startswith(f"process {os.getpid()} on ")
    second.close()
    assert holder(tmp_path / "lock") is None
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]


def test_a_number_that_another_process_has_now_is_no_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = markers.began
    monkeypatch.setattr(markers, "began", lambda process: "1")
    old = markers.take(tmp_path / "held", "process of old", False)
    assert markers.take(tmp_path / "held", "process of now", False) is None
    monkeypatch.setattr(markers, "began", now)
    assert old is not None and holder_of(tmp_path / "held") is None
    old._closed.set()  # its process is gone
    taken = markers.take(tmp_path / "held", "process of now", False)
    assert taken is not None
    taken.close()


def test_a_holder_whose_lock_was_taken_over_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = held_on("one", tmp_path / "lock")
    (tmp_path / "lock.held").write_text("another process\n")
    assert first.wait(30) == -15


def test_a_cut_marker_is_held_until_it_is_old(tmp_path: Path) -> None:
    (tmp_path / "lock.held").write_text("proc")
    with pytest.raises(Held, match="proc"):
        lock(tmp_path / "lock", wait=False)
    os.utime(tmp_path / "lock.held", (0, 0))
    lock(tmp_path / "lock", wait=False).close()


def test_work_is_shared_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process works on is left to it; what a dead one worked on is done here."""
    on("one", monkeypatch)
    (tmp_path / "lock.1.held").write_text("process of a dead machine\n")
    os.utime(tmp_path / "lock.1.held", (0, 0))
    live = markers.take(tmp_path / "lock.2.held", "process of a live machine", False)
    assert live is not None
    done: set[int] = set()
    for i in shared(tmp_path / "lock", 4, done.__contains__):
        assert (tmp_path / f"lock.{i}.held").is_file()
        done.add(i)
        if i == 3:
            done.add(2)
            live.close()
    assert done == {0, 1, 2, 3}
    tidied = []
    with in_use(tmp_path / "use", lambda: tidied.append(1)):
        assert holder(tmp_path / "use") and tidied == [1]
    assert holder(tmp_path / "use") is None
