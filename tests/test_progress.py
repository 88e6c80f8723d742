"""Where there is no terminal, long work says how far it is, also while one piece of it takes long."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from lightning_diff import progress
from lightning_diff.config.paths import PACKAGE_FOLDER

SCRIPT = """
import time
from lightning_diff import progress
progress.LINES = 0.1
for _ in progress.tracked(iter(range(2)), "pictures [of] 7 scales", 12, 7):
    time.sleep(0.35)
"""


def test_a_pipe_gets_lines_while_one_piece_takes_long() -> None:
    words = [sys.executable, "-c", SCRIPT]
    said = subprocess.run(words, cwd=PACKAGE_FOLDER, capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    assert lines[0] == "pictures [of] 7 scales: 0 of 12, 0 s so far" and len(lines) >= 4
    assert lines[-1].startswith("pictures [of] 7 scales: 7 of 12, about ") and lines[-1].endswith(" s left")
    assert said.stderr == ""


def test_short_work_says_nothing_and_every_piece_comes(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.tracked(range(5), "work", 5)) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().out == ""


def test_an_error_ends_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(progress, "LINES", 0.02)
    monkeypatch.setattr(progress, "say", lambda line: said.append(line))
    with pytest.raises(ZeroDivisionError):
        for _ in progress.tracked(range(3), "work", 3):
            time.sleep(0.1)
            raise ZeroDivisionError
    count = len(said)
    time.sleep(0.1)
    assert len(said) == count


def test_other_ranks_say_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "first_rank", lambda: False)
    monkeypatch.setattr(progress, "LINES", 0.02)
    for _ in progress.tracked(range(2), "work", 2):
        time.sleep(0.05)
    assert capsys.readouterr().out == ""
