"""Files are whole or not there; work is shared by processes that do not know of each other, and nobody's death stops it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from lightning_diff.files import raise_passing, whole_file, whole_folder
from lightning_diff.locks import Held, lock, shared
from lightning_diff.tracking.record import Record

COUNT = 40


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "a" / "file"
    with whole_file(place) as partial:
        partial.write_text("old")
    with pytest.raises(RuntimeError), whole_file(place) as partial:
        partial.write_text("ne")
        raise RuntimeError
    assert place.read_text() == "old" and list(place.parent.iterdir()) == [place]


def test_an_error_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    place = tmp_path / "sweep.csv"
    place.mkdir()
    with pytest.raises(IsADirectoryError) as e, whole_file(place) as partial:
        partial.write_text("new")
    assert e.value.filename == str(place) and list(tmp_path.iterdir()) == [place]
    other = tmp_path / "folder"
    other.write_text("")
    with pytest.raises(NotADirectoryError) as f, whole_folder(other):
        pass
    assert f.value.filename == str(other) and sorted(tmp_path.iterdir()) == [other, place]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nothing", path)])
def test_what_is_no_file_is_told_and_never_waited_for(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "lock")
    make(tmp_path / "record.jsonl")
    with pytest.raises(IsADirectoryError, match=r"not a file: .*lock"):
        lock(tmp_path / "lock", wait=False)
    with pytest.raises(IsADirectoryError, match=r"not a file: .*record.jsonl"):
        Record(tmp_path).write("train", 1)


def test_a_folder_that_another_made_meanwhile_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    with whole_folder(place) as partial:
        (partial / "x").write_text("mine")
        place.mkdir()
        (place / "x").write_text("theirs")
    assert (place / "x").read_text() == "theirs" and list(tmp_path.iterdir()) == [place]


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    """An hour later: until then it may be a process of another machine that is still writing."""
    old, new = (tmp_path / f"file.{host}-1.partial" for host in ("old", "new"))
    for path in (old, new):
        path.write_text("half")
    (tmp_path / "folder.old-1.partial").mkdir()
    (tmp_path / "folder.old-1.partial" / "half").write_text("")
    for path in (old, tmp_path / "folder.old-1.partial", tmp_path / "folder.old-1.partial" / "half"):
        os.utime(path, (0, 0))
    with whole_file(tmp_path / "file") as partial:
        partial.write_text("whole")
    with whole_folder(tmp_path / "folder"):
        pass
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder", new.name}


def test_a_lock_says_who_holds_it_and_goes_with_its_process(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from lightning_diff.locks import lock;"
        "f = lock(Path(sys.argv[1]), False); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(Held, match=f"process {holder.pid} on "):
        lock(tmp_path / "lock", wait=False)
    holder.kill()
    holder.wait()
    lock(tmp_path / "lock", wait=False).close()


def work(folder: Path, first: int, die_at: int, all_began: Barrier) -> None:
    for i in shared(folder / "lock", COUNT, lambda i: (folder / str(i)).is_file(), first):
        if i == first:
            all_began.wait(60)
        if i == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / str(i)).open("x") as f:  # fails if another one was at it
            f.write(str(os.getpid()))


def test_work_is_shared_and_each_thing_is_done_once(tmp_path: Path) -> None:
    barrier = multiprocessing.Barrier(3)
    workers = [multiprocessing.Process(target=work, args=(tmp_path, first, -1, barrier)) for first in (0, 13, 26)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0]
    by = [(tmp_path / str(i)).read_text() for i in range(COUNT)]
    assert set(by) == {str(w.pid) for w in workers}  # all of them worked, or it is not shared


def test_what_a_dead_worker_held_is_taken_over(tmp_path: Path) -> None:
    barrier = multiprocessing.Barrier(2)
    workers = [multiprocessing.Process(target=work, args=(tmp_path, *at, barrier)) for at in ((3, 3), (20, -1))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [-signal.SIGKILL, 0]
    assert all((tmp_path / str(i)).is_file() for i in range(COUNT))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ESTALE, "stale"), True),
        (OSError(errno.ENOSPC, "full"), True),
        (FileNotFoundError(errno.ENOENT, "gone"), False),
        (PermissionError(errno.EACCES, "no right"), False),
        (OSError("a damaged page"), False),  # pyarrow
    ],
)
def test_only_an_error_that_may_pass_is_raised_again(error: OSError, raised: bool) -> None:
    with pytest.raises(OSError, match=r"stale|full") if raised else nullcontext():
        raise_passing(error)
