"""Processes that stand by: they are part of no error, and outlive no first process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lightning_diff.cluster.standby import STANDS_BY, Standby
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.config.schema import Training
from tests.conftest import SHORT

LAUNCHERS = ("WORLD_SIZE", "LOCAL_RANK", "SLURM_JOB_ID")  # variables of launchers


def begin(folder: Path, *more: str) -> subprocess.Popen[str]:
    """A training of two ranks that draws its pictures first."""
    few = [word for word in SHORT if not word.startswith("data.")]
    words = [*few, "experiment=base", "evaluation=none", "training.devices=2", "training.accelerator=cpu", "name=two"]
    command = [sys.executable, "train.py", *words, f"outputs={folder}", f"cache={folder}/cache", *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
    return subprocess.Popen(command, cwd=PACKAGE_FOLDER, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def alive(folder: Path) -> list[int]:
    """The processes of a training that writes to this folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"outputs={folder}".encode() in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:  # it has just ended
            continue
    return found


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Of a test that fails, too."""
    yield
    for process in alive(tmp_path):
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def second_of(first: subprocess.Popen[str], folder: Path) -> int:
    """The process that stands by. Another one that the first starts looks like it until it runs its own program."""

    found: list[int] = []

    def stands_by() -> list[int]:
        with suppress(OSError):  # one has just ended
            others = set(alive(folder)) - {first.pid}
            found[:] = [p for p in others if STANDS_BY.encode() in Path(f"/proc/{p}/environ").read_bytes()]
        return found

    wait_until(stands_by)
    (second,) = found
    return second


def listened_to(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def meeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[subprocess.Popen[str], int]:
    """A first process that waits for the second one; that one has been called, and never comes."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    monkeypatch.setenv("MASTER_PORT", str(port))
    first = begin(tmp_path, "data.train=64", "data.test=8", "training.steps=20000")
    second = second_of(first, tmp_path)
    os.kill(second, signal.SIGSTOP)
    wait_until(lambda: listened_to(port))
    return first, second


def test_a_refused_training_is_refused_once(tmp_path: Path) -> None:
    """The data are looked at after the second process has started."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.txt").write_text("a caption without its picture")
    first = begin(tmp_path, "data=folder", f"data.source={tmp_path}/pictures")
    _, said = first.communicate(timeout=120)
    assert first.returncode == 2 and said.count("error:") == 1 and len(said.splitlines()) == 1
    wait_until(lambda: not alive(tmp_path))


STARTS, WAITS = 0.02, 3  # seconds after its start: Python's own imports run; it loads libraries, or waits
SIGNALS = [(signal.SIGKILL, WAITS), (signal.SIGTERM, WAITS), (signal.SIGINT, STARTS), (signal.SIGINT, WAITS)]


@pytest.mark.parametrize(("number", "wait"), SIGNALS)
def test_it_ends_with_the_first_process(tmp_path: Path, number: int, wait: float) -> None:
    first = begin(tmp_path, "data.train=50000")  # drawn for a minute
    second_of(first, tmp_path)
    time.sleep(wait)
    if number == signal.SIGINT:  # Ctrl-C is heard by both
        os.killpg(first.pid, number)
    else:
        first.send_signal(number)
    _, said = first.communicate(timeout=120)
    assert len(said.splitlines()) == (0 if number == signal.SIGKILL else 1)
    wait_until(lambda: not alive(tmp_path))


def test_another_is_started_in_the_place_of_one_that_was_killed(tmp_path: Path) -> None:
    first = begin(tmp_path, "data.train=2000", "data.test=8")
    os.kill(second_of(first, tmp_path), signal.SIGKILL)
    said, wrong = first.communicate(timeout=240)
    assert first.returncode == 0, wrong
    assert (tmp_path / "two" / "weights.safetensors").exists() and "error" not in said + wrong


def test_all_end_with_a_process_that_is_killed_before_they_meet(
    meeting: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    """The first one waits for it in torch's code, where it hears nothing."""
    first, second = meeting
    os.kill(second, signal.SIGKILL)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 1 and "another process of this run has ended (SIGKILL)" in said
    assert len(said.splitlines()) == 1
    wait_until(lambda: not alive(tmp_path))


def test_the_others_end_with_the_first_one_before_they_meet(
    meeting: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    first, second = meeting
    first.kill()
    first.wait()
    os.kill(second, signal.SIGCONT)
    wait_until(lambda: not alive(tmp_path))
    first.communicate()


def test_a_rank_that_the_environment_names_is_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers name rank 0 of 1."""
    monkeypatch.setenv("RANK", "0")
    first = begin(tmp_path, "data.train=64", "data.test=8")
    said, wrong = first.communicate(timeout=240)
    assert first.returncode == 0 and "error" not in said + wrong, wrong


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher has started this process."""
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("words", [["-i", "train.py"], ["-"], ["-m", "pdb", "train.py"], ["bin/ipython", "train.py"]])
def test_none_is_started_beside_a_debugger_or_a_shell(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    standby = Standby()
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(sys, "orig_argv", ["python", *words])
    standby.start(Training(devices=2))
    assert not standby.started


@pytest.mark.usefixtures("alone")
def test_it_is_no_error_if_none_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    standby = Standby()

    def full(*_: object, **__: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "train.py"])
    monkeypatch.setattr(subprocess, "Popen", full)
    standby.start(Training(devices=2))
    assert not standby.started and not standby.call(2)


def test_none_is_started_where_others_start_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    standby = Standby()
    for name in LAUNCHERS:
        with monkeypatch.context() as one:
            one.setenv(name, "2")
            standby.start(Training(devices=2))
    standby.start(Training(devices=2, nodes=2))
    standby.start(Training(devices=1))
    assert not standby.started and not standby.call(2)
