"""W&B's server refuses, hangs, answers 429 or 500: a run with tracking=online ends as any other, with all of its record and
all of W&B's files, and a later sync brings everything to the server, once. No call into W&B speaks to a server: the run
writes files, and another process sends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from lightning_diff.cluster.signals import STOP, Interrupted
from lightning_diff.config.compose import compose_config
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.pipeline.stages import train
from lightning_diff.tracking import sending
from lightning_diff.tracking.record import Record
from lightning_diff.tracking.trackers.wandb import run_id
from tests.conftest import short
from tests.faults.wandb_server import FAULTS, Server
from tests.tracking.test_weights_and_biases import read_back

pytestmark = pytest.mark.usefixtures("common_cache")
write = Record.write
STEPS = list(range(1, 7))


def command(root: Path, *more: str) -> list[str]:
    words = [
        "tracking=online",
        "training.steps=6",
        "evaluation.enabled=false",
        f"outputs={root}",
        f"cache={root}/cache",
    ]
    return short("base", *words, *more)


def steps_of(rows: list[dict[str, Any]]) -> list[int]:
    return [row["step"] for row in rows if "train/loss" in row]


def written(folder: Path) -> list[int]:
    """The steps in W&B's files, by its own reader."""
    return steps_of([record["history"]["item"] for record in read_back(folder) if record["type"] == "history"])


def sync(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    words = [sys.executable, "-m", "wandb", "beta", "sync", "--yes", "--skip-synced", str(folder / "wandb")]
    subprocess.run(words, check=True, timeout=120, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """How W&B was opened."""
    found, init = [], wandb.init
    monkeypatch.setattr(wandb, "init", lambda **words: (found.append(words["mode"]), init(**words))[1])
    monkeypatch.setattr(sending, "WAIT", 10.0)  # the sender needs seconds to start on a busy machine
    yield found


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_ends_whole_whatever_the_server_does(
    fault: str, tmp_path: Path, modes: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    with Server(fault) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        train(compose_config(command(tmp_path)), folder)
        assert fault == "refuses" or server.asked  # it was tried
    assert modes == ["offline"]
    assert (folder / "weights.safetensors").is_file()
    assert [row["step"] for row in Record(folder).read("train")] == written(folder) == STEPS
    with Server() as server:
        sync(folder, server, monkeypatch)
        assert steps_of(server.history[run_id(folder)]) == STEPS
        sync(folder, server, monkeypatch)  # what is there is not sent again
        assert steps_of(server.history[run_id(folder)]) == STEPS


def stopping(record: Record, event: str, step: int | None = None, **values: Any) -> None:
    write(record, event, step, **values)
    if step == 3 and event == "train":
        os.kill(os.getpid(), signal.SIGTERM)


def test_what_a_server_missed_comes_with_the_next_segment(
    tmp_path: Path, modes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose first half found no server goes on with one: its segments arrive in order."""
    folder = tmp_path / "run"
    for fault, wait in (("500", 1.0), (None, 60.0)):
        monkeypatch.setattr(sending, "WAIT", wait)
        with Server(fault) as server:
            for name, value in server.environment.items():
                monkeypatch.setenv(name, value)
            if fault:
                with monkeypatch.context() as m, pytest.raises(Interrupted):
                    m.setattr(Record, "write", stopping)
                    train(compose_config(command(tmp_path)), folder)
                STOP.number, STOP.ends = 0, False
            else:
                train(compose_config(command(tmp_path)), folder)
    assert steps_of(server.history[run_id(folder)]) == STEPS


def test_the_command_ends_with_0_while_the_server_hangs(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with Server("hangs") as server, said.open("w") as out:
        words = [sys.executable, "train.py", *command(tmp_path, "name=run")]
        environment = {**os.environ, **server.environment}
        done = subprocess.run(words, cwd=PACKAGE_FOLDER, env=environment, stdout=out, stderr=out, timeout=300)
    text = said.read_text()
    assert done.returncode == 0, text
    assert "sends it later" in " ".join(text.split()) and "Traceback" not in text
