"""Which process is the first: variables that a shell kept from another command make no rank that waits for ever."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest
from pytorch_lightning.plugins.environments import SLURMEnvironment

from lightning_diff.cli.errors import exit_on_error
from lightning_diff.cluster.detection import heed_slurm, wrong_tasks
from lightning_diff.cluster.requeue import job_id
from lightning_diff.config.compose import compose_config
from lightning_diff.config.convert import stored_text
from lightning_diff.config.errors import ConfigError
from lightning_diff.pipeline.continuing.same import fixed_values
from lightning_diff.pipeline.memory import check_machine
from lightning_diff.pipeline.naming import run_name
from lightning_diff.pipeline.objects import placeless
from lightning_diff.ranks import rank_of, share_of, wait_for, wrong_rank

NAMES = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_ID"),
    *("SLURM_JOB_NAME", "SLURM_NTASKS_PER_NODE", "SLURM_STEP_ID", "SLURM_CONF"),
)


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    of_slurm = [name for name in os.environ if name.startswith("SLURM_")]
    for name in (*NAMES, *of_slurm, "LIGHTNING_DIFF_JOB", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "")  # so that it comes back, whatever a test does to it
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, ""),
        ({"RANK": "1"}, "RANK=1: no launcher started 2 processes; unset RANK"),
        ({"LOCAL_RANK": "3", "WORLD_SIZE": "2"}, "LOCAL_RANK=3: no launcher started 4 processes; unset LOCAL_RANK"),
        ({"SLURM_PROCID": "1"}, "SLURM_PROCID=1: no launcher started 2 processes; unset SLURM_PROCID"),
        ({"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, ""),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, ""),
        ({"RANK": ""}, "RANK=: must be a whole number, 0 or more; unset RANK"),
        ({"LOCAL_RANK": "abc"}, "LOCAL_RANK=abc: must be a whole number, 0 or more; unset LOCAL_RANK"),
        ({"SLURM_PROCID": "-1"}, "SLURM_PROCID=-1: must be a whole number, 0 or more; unset SLURM_PROCID"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0: must be a whole number, 1 or more; unset WORLD_SIZE"),
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


@pytest.mark.parametrize(
    ("environment", "devices", "said"),
    [
        ({}, 1, ""),
        ({"SLURM_NTASKS": "1"}, 1, ""),
        ({"SLURM_NTASKS": "1"}, 2, r"training.devices=2 .*SLURM job 99 \(jupyter\) has 1 tasks; .*cluster.slurm=false"),
        ({"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"}, 1, "has 4 tasks; .*cluster.slurm=false"),
        ({"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_ID": "0"}, 2, ""),
        ({"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}, 2, "this process was started alone; start it with srun"),
        (
            {"SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"},
            2,
            "has 2 tasks, of --ntasks; ask for them with --ntasks-per-node=2",
        ),
        ({"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "bash"}, 2, ""),
        ({"SLURM_NTASKS": "4", "TORCHELASTIC_RUN_ID": "x"}, 2, ""),
    ],
)
def test_the_tasks_of_a_job_are_the_ranks_or_the_job_is_not_heeded(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], devices: int, said: str
) -> None:
    for name, value in {"SLURM_JOB_ID": "99", "SLURM_JOB_NAME": "jupyter", **environment}.items():
        monkeypatch.setenv(name, value)
    found = wrong_tasks(devices, 1)
    assert re.search(said, found) if said else not found
    heed_slurm(True)
    assert os.environ["SLURM_JOB_ID"] == "99"
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("LIGHTNING_DIFF_JOB", "99")
    heed_slurm(False)
    assert [name for name in os.environ if name.startswith("SLURM_")] == ["SLURM_CONF"]
    assert not wrong_tasks(devices, 1) and job_id() is None and not SLURMEnvironment.detect()


def test_a_job_that_is_not_heeded_has_no_rank(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell in a job kept another process's rank. The word counts before the rank is asked for."""
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setattr("sys.argv", ["train.py", "experiment=base"])
    with pytest.raises(SystemExit):
        exit_on_error(lambda: pytest.fail("it began"))
    assert "SLURM_PROCID=1: no launcher started" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["train.py", "experiment=base", "cluster.slurm=false"])
    began = []
    exit_on_error(lambda: began.append(rank_of()))
    assert began == [(0, 1)]


def test_where_a_run_is_started_is_no_part_of_it() -> None:
    words = ["experiment=base", "seed=3"]
    here, there = (compose_config([*words, *more]) for more in ([], ["cluster.slurm=false"]))
    assert run_name(here, words) == run_name(there, [*words, "cluster.slurm=false"])
    assert stored_text(here) == stored_text(there) and placeless(here) == placeless(there)
    assert fixed_values(here) == fixed_values(there)
    assert (here.cluster.slurm, there.cluster.slurm) == (True, False)
