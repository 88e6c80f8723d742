"""Without training.devices=, a training on a CPU gets one process for each core that it may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_diff.cli.arguments import read_arguments
from lightning_diff.cli.commands import prepare_command
from lightning_diff.cluster import processes as chosen
from lightning_diff.cluster.processes import cores, processes, with_processes
from lightning_diff.config.input.stored import stored_values
from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.config.schema import Training
from tests.conftest import SHORT


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "SLURM_JOB_ID", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(chosen, "on_gpu", lambda accelerator: False)


@pytest.mark.parametrize(
    ("said", "here", "expected"),
    [
        ({}, 2, 2),
        ({}, 1, 1),
        ({"steps": 199}, 2, 1),  # over before a second process has started
        ({"batch": 65}, 2, 1),
        ({"batch": 64}, 12, 8),  # 8 samples each
        ({"batch": 96}, 10, 8),
        ({"nodes": 2}, 4, 1),
        ({"strategy": "fsdp"}, 4, 1),
    ],
)
def test_a_process_for_each_core(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], here: int, expected: int
) -> None:
    monkeypatch.setattr(chosen, "cores", lambda: here)
    assert processes(Training(**said)) == expected


def test_what_else_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert processes(Training()) == 1
    monkeypatch.setenv("WORLD_SIZE", "6")
    assert processes(Training(nodes=2)) == 3
    assert with_processes(Training(), []).devices == 6
    assert with_processes(Training(), ["training.devices=1"]).devices == 1
    assert with_processes(Training(devices=2), []).devices == 2  # a config file says it
    assert read_arguments(["training.devices=auto", "seed=1"]).overrides == ["seed=1"]


def test_prepare_trains_parts_with_a_process_for_each_core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found: list[int] = []
    monkeypatch.setattr(chosen, "cores", lambda: 2)
    monkeypatch.setattr("lightning_diff.cli.prepare.prepare_experiment", lambda c: found.append(c.training.devices))
    monkeypatch.setattr(sys, "argv", ["prepare.py", "experiment=base", f"outputs={tmp_path}"])
    prepare_command()
    monkeypatch.setattr(sys, "argv", [*sys.argv, "training.devices=1"])
    prepare_command()
    monkeypatch.setattr(sys, "argv", sys.argv[:-1])
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")  # they share the parts
    prepare_command()
    assert found == [2, 1, 1]


def test_cores_are_those_that_the_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(chosen, "GROUPS", tmp_path)
    monkeypatch.setattr(chosen, "OWN", tmp_path / "own")
    assert cores() == 8
    (tmp_path / "own").write_text("1:name=systemd:/\n0::/jobs/mine\n")
    (tmp_path / "jobs" / "mine").mkdir(parents=True)
    assert cores() == 8
    (tmp_path / "jobs" / "mine" / "cpu.max").write_text("max 100000\n")
    assert cores() == 8
    (tmp_path / "jobs" / "cpu.max").write_text("250000 100000\n")  # the limit of a group above holds too
    assert cores() == 3
    (tmp_path / "jobs" / "mine" / "cpu.max").write_text("50000 100000\n")
    assert cores() == 1


@pytest.mark.slow
def test_the_runs_of_a_multirun_have_them_if_they_are_long(tmp_path: Path, cache: Path) -> None:
    words = [w for w in SHORT if not w.startswith(("training.steps=", "training.checkpoint"))]
    words += ["training.steps=200,6", "training.batch=16", "training.log_every=50", "evaluation.samples=16"]
    words += ["evaluation.batch=8", "training.accelerator=cpu", f"outputs={tmp_path}", f"cache={cache}"]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    command = [sys.executable, "train.py", "-m", "experiment=base", *words]
    done = subprocess.run(command, cwd=PACKAGE_FOLDER, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count("step 200/200") == 1 and done.stdout.count("run 2 of 2") == 1
    )  # one voice for all processes
    assert done.stdout.count("captioned pictures for training") == 1  # both have the same
    for steps in (200, 6):  # the processes of the first go on together
        folder = tmp_path / f"base-training.steps={steps}"
        assert (folder / "weights.safetensors").is_file() and (folder / "report.html").is_file()
        assert stored_values(folder / "config.yaml")["training"]["devices"] == min(2, cores())  # 8 samples each
