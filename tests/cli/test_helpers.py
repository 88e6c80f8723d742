"""A long sweep on a CPU is drawn by a process for each core, without a word about it in the command."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_diff.cluster import helpers
from lightning_diff.cluster.helpers import Helpers
from lightning_diff.config.compose import load_config
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.evaluation.results import SEEN
from lightning_diff.pipeline.stages import evaluate
from tests.conftest import short, train_apart

WORDS = ["evaluation.samples=64", "evaluation.batch=64", "guidance.scales=[1,3]"]  # two blocks, of two cases
PATIENCE = 300.0  # seconds, for a process on a busy core


@pytest.fixture(autouse=True)
def alone_on_two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "SLURM_JOB_ID", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(helpers, "on_gpu", lambda accelerator: False)
    monkeypatch.setattr(helpers, "cores", lambda: 2)


def until(done: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < end:
        time.sleep(0.2)
    return done()


@pytest.mark.slow
def test_a_helper_draws_what_one_process_would_draw(tmp_path: Path, cache: Path) -> None:
    places = (f"outputs={tmp_path}", f"cache={cache}", "training.accelerator=cpu")
    done = train_apart(*short("base"), *places, "evaluation=none", "name=helped")
    assert done.returncode == 0, done.stderr
    folders = [tmp_path / name for name in ("helped", "alone")]
    shutil.copytree(*folders)
    with Helpers(folders[0], WORDS, "cpu") as some:
        some.work_left(helpers.LONG, 2)
        (helper,) = some.started
        drawn = until(lambda: len([*(folders[0] / SEEN).glob("*/*.safetensors")]) == 4 or helper.poll() is not None)
        assert drawn and not helper.poll()
        assert not (folders[0] / "sweep.csv").exists()  # the first rank alone writes tables
    assert helper.returncode is not None
    for folder in folders:
        evaluate([load_config(folder / "config.yaml", WORDS)], folder)
    assert folders[0].joinpath("sweep.csv").read_text() == folders[1].joinpath("sweep.csv").read_text().replace(
        "alone", "helped"
    )


@pytest.mark.parametrize(
    ("words", "evaluations", "blocks", "variable", "expected"),
    [
        (WORDS, helpers.LONG, 9, "", 1),
        (WORDS, helpers.LONG - 1, 9, "", 0),
        (WORDS, helpers.LONG, 1, "", 0),
        (None, helpers.LONG, 9, "", 0),
        (WORDS, helpers.LONG, 9, "OMP_NUM_THREADS", 0),  # somebody else divides the cores
        (WORDS, helpers.LONG, 9, "WORLD_SIZE", 0),  # the ranks are there already
    ],
)
def test_helpers_come_where_they_pay(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str] | None,
    evaluations: int,
    blocks: int,
    variable: str,
    expected: int,
) -> None:
    if variable:
        monkeypatch.setenv(variable, "2")
    monkeypatch.setattr(helpers, "MAIN", "import time; time.sleep(600)")
    with Helpers(tmp_path, words, "cpu") as some:
        some.work_left(evaluations, blocks)
        some.work_left(evaluations, blocks)
        assert len(some.started) == expected
    assert all(helper.returncode == -signal.SIGTERM for helper in some.started)


def test_one_that_fails_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(helpers, "MAIN", "raise SystemExit(3)")
    with Helpers(tmp_path, WORDS, "cpu") as some:
        some.work_left(helpers.LONG, 2)
        some.started[0].wait()
    assert "ended with code 3" in capsys.readouterr().out.replace("\n", " ")


def test_a_helper_ends_with_the_process_that_it_helps(tmp_path: Path) -> None:
    code = f"""if True:
        import sys, time
        from pathlib import Path
        from lightning_diff.cluster import helpers
        helpers.cores = lambda: 2
        helpers.MAIN = "import time; from lightning_diff.ranks import end_with_helped; end_with_helped(); time.sleep(600)"
        some = helpers.Helpers(Path({str(tmp_path)!r}), [], "cpu")
        some.work_left(helpers.LONG, 2)
        print(some.started[0].pid, flush=True)
        time.sleep(600)
    """
    helped = subprocess.Popen([sys.executable, "-c", code], cwd=PACKAGE_FOLDER, stdout=subprocess.PIPE, text=True)
    assert helped.stdout is not None
    helper = Path("/proc") / helped.stdout.readline().strip()
    assert helper.is_dir()
    os.kill(helped.pid, signal.SIGKILL)
    helped.wait()
    assert until(lambda: not (helper / "exe").exists())
