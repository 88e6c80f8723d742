"""A signal breaks no import off: it waits until the import is done, and then stops the command."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_diff.cli.errors import exit_on_error
from lightning_diff.cluster.signals import HEARD, STOP, Interrupted


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in HEARD}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and the tests may run under nohup
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    STOP.number, STOP.ends, STOP.deferred = 0, False, False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_waits_for_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    name = f"imported_{int(number)}"
    text = f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(0.3)\ndone = True\n"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    STOP.install()
    with pytest.raises(Interrupted) as e:
        importlib.import_module(name)
        time.sleep(30)
    assert sys.modules[name].done and e.value.exit_code == 128 + number


def test_a_signal_before_the_command_begins_is_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    STOP.install(deferred=True)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as e:
        exit_on_error(lambda: pytest.fail("it began"))
    assert e.value.code == 143 and capsys.readouterr().err.count("\n") == 1


def test_what_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    STOP.install()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_an_error_that_answers_a_signal_is_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        finally:
            raise RuntimeError("a library's own")

    with pytest.raises(SystemExit) as e:
        exit_on_error(work)
    assert e.value.code == 143 and capsys.readouterr().err == "stopped by SIGTERM; the same command continues\n"


def test_of_several_processes_one_says_that_the_run_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    STOP.install(deferred=True)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as e:
        exit_on_error(lambda: pytest.fail("it began"))
    assert e.value.code == 0 and capsys.readouterr().err == ""  # after an error srun would kill the first


def test_a_process_that_is_gone_is_one_line_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise RuntimeError(
            "[/a/gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:1: Connection reset by peer. This is"
        )

    with pytest.raises(SystemExit) as e:
        exit_on_error(work)
    said = capsys.readouterr().err
    assert e.value.code == 1 and said.count("\n") == 1 and "another process of this run has ended" in said
