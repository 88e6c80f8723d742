"""Which process is the first: variables that a shell kept from another command make no rank that waits for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lightning_diff.cluster.requeue import job_id
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.pipeline.memory import check_machine
from lightning_diff.ranks import share_of, wait_for, wrong_rank

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_ID")


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "LIGHTNING_DIFF_JOB", *(f"SLURM_ARRAY_TASK_{n}" for n in ("ID", "MIN", "MAX"))):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, ""),
        ({"RANK": "1"}, "RANK=1: no launcher started 2 processes; unset RANK"),
        ({"LOCAL_RANK": "3", "WORLD_SIZE": "2"}, "LOCAL_RANK=3: no launcher started 4 processes; unset LOCAL_RANK"),
        ({"SLURM_PROCID": "1"}, "SLURM_PROCID=1: no launcher started 2 processes; unset SLURM_PROCID"),
        ({"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, ""),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, ""),
        ({"RANK": ""}, ""),
    ],
)
def test_a_rank_has_a_launcher(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wrong_rank() == said


def test_a_launchers_processes_are_as_many_as_the_config_says(monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose_config(["experiment=base", "training.accelerator=cpu"])
    check_machine(config)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match=r"2 processes were started; give training.devices=2, as many"):
        check_machine(config)
    check_machine(replace(config, training=replace(config.training, devices=2)))


def test_an_empty_array_task_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ID", ""), ("MIN", "0"), ("MAX", "3")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert share_of() == (0, 1)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert share_of() == (2, 4)


def test_no_wait_is_without_an_end() -> None:
    wait_for(lambda: True, 1, "done it")
    with pytest.raises(TimeoutError, match=r"the first rank has not done it for 0.1 s"):
        wait_for(lambda: False, 0.1, "done it")


def test_a_shell_in_an_allocation_is_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "99")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert job_id() is None
    monkeypatch.setenv("LIGHTNING_DIFF_JOB", "98")  # kept from another job
    assert job_id() is None
    monkeypatch.setenv("LIGHTNING_DIFF_JOB", "99")
    assert job_id() == "99"
