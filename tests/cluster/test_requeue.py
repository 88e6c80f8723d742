"""A job of two nodes that is stopped in any of the ways in which jobs are stopped goes on as the same run, and ends with the
weights that it would have had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_diff.nets.weights import read_state
from tests.cluster.conftest import SMALLEST, Cluster, eventually, step_of

TWO_NODES = ("--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--time=20")
RUN = (
    *("experiment=base", *SMALLEST, "data.train=64", "training.batch=4", "training.steps=120"),
    *("training.checkpoint_every=25", "training.log_every=1", "evaluation.enabled=false", "tracking.wandb=offline"),
)


def preempt(cluster: Cluster, job: str) -> None:
    cluster.submit("--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")


def burst(cluster: Cluster, job: str) -> None:
    for _ in range(20):
        cluster.call("scancel", "--signal=USR1", job)


def power_cut(cluster: Cluster, job: str) -> None:
    cluster.kill("node02")
    eventually("the job is back in the queue", lambda: cluster.jobs()[job] == "PENDING")
    cluster.restart("node02")


WAYS: dict[str, Callable[[Cluster, str], object]] = {
    "USR1": lambda cluster, job: cluster.call("scancel", "--signal=USR1", job),
    "TERM": lambda cluster, job: cluster.call("scancel", "--signal=TERM", job),
    "requeue": lambda cluster, job: cluster.call("scontrol", "requeue", job),
    "preempted": preempt,
    "twenty signals": burst,
    "power cut": power_cut,
}


def submit(cluster: Cluster, root: Path, name: str) -> str:
    words = [*RUN, f"name={name}", f"outputs={root}", f"cache={root}/cache"]
    return cluster.submit(*TWO_NODES, "--partition=low", f"--output={root}/{name}.log", "slurm/train.sbatch", *words)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(running_cluster: Cluster, root: Path) -> dict[str, Tensor]:
    running_cluster.wait(submit(running_cluster, root, "whole"), "COMPLETED", 240)
    return read_state(root / "whole" / "weights.safetensors")


@pytest.mark.parametrize("way", WAYS)
def test_a_stopped_job_goes_on_as_the_same_run(
    way: str, cluster: Cluster, root: Path, whole: dict[str, Tensor]
) -> None:
    name = way.replace(" ", "_")
    log, folder = root / f"{name}.log", root / name
    job = submit(cluster, root, name)
    eventually("step 30", lambda: step_of(folder) >= 30, 180, log.read_text)
    WAYS[way](cluster, job)
    eventually("it has left", lambda: cluster.jobs()[job] in ("PENDING", "COMPLETING"), 90, log.read_text)
    cluster.wait(job, "COMPLETED", 240)
    continued = log.read_text().count(f"{name}: continuing at step")
    # SLURM may send a node that comes back a second stop; the job goes on after that one as well.
    assert continued == 1 or (way == "power cut" and continued > 1), log.read_text()
    assert step_of(folder) == 120
    state = read_state(folder / "weights.safetensors")
    assert state.keys() == whole.keys() and all(torch.equal(state[n], whole[n]) for n in whole)
    runs = {p.stem for p in folder.rglob("run-*.wandb")}
    assert runs == {f"run-{(folder / 'wandb_id').read_text()}"}  # in one segment or two


def test_a_job_saves_before_its_time_limit_without_being_told(cluster: Cluster, tmp_path: Path) -> None:
    """A limit of a minute, of which SLURM tells the script alone: the run itself stops 20 s before it, and goes on."""
    words = [*RUN, "training.steps=100000", "name=limit", f"outputs={tmp_path}", f"cache={tmp_path}/cache"]
    log = tmp_path / "log"
    job = cluster.submit("--time=1", "--signal=B:URG@1", f"--output={log}", "slurm/train.sbatch", *words)
    eventually("it has gone on", lambda: log.is_file() and "continuing at step" in log.read_text(), 180, log.read_text)
    assert "stopped by the time limit at step" in log.read_text()
    cluster.call("scancel", job)
    eventually("it is gone", lambda: cluster.jobs()[job] == "CANCELLED", 60)
    assert log.read_text().count("goes back into the queue") == 1  # and not when it was cancelled


def test_the_second_job_of_a_run_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    words = [*RUN, "training.steps=100000", "name=one", f"outputs={tmp_path}", f"cache={tmp_path}/cache"]
    logs = [tmp_path / "first", tmp_path / "second"]
    cluster.submit(f"--output={logs[0]}", "slurm/train.sbatch", *words)
    eventually("step 1", lambda: step_of(tmp_path / "one") >= 1, 120, logs[0].read_text)
    second = cluster.submit(f"--output={logs[1]}", "slurm/train.sbatch", *words)
    cluster.wait(second, "FAILED")
    said = [line for line in logs[1].read_text().splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and "in use by process" in said[0] and "SLURM job" in said[0]


def test_an_array_shares_the_caches_and_a_killed_task_is_made_up_for(cluster: Cluster, tmp_path: Path) -> None:
    """Four tasks that know of each other through the file system alone; the bytes are those of one process."""
    words = ["experiment=base", "data.train=4096", "data.test=64"]
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    log = tmp_path / "log"
    cluster.wait(cluster.submit(f"--output={log}", "slurm/prepare.sbatch", *words, f"cache={alone}"), "COMPLETED", 240)
    given = ["--array=0-3", f"--output={tmp_path}/%a", "slurm/prepare.sbatch", *words, f"cache={shared}"]
    array = cluster.submit(*given)
    blocks = lambda: list(shared.glob("latents/*/*.blocks/*.npz"))  # noqa: E731
    eventually("a block", blocks, 180, (tmp_path / "0").read_text)
    cluster.call("scancel", "--signal=KILL", f"{array}_2")
    for task in (0, 1, 3):
        cluster.wait(f"{array}_{task}", "COMPLETED", 240)
    again = cluster.submit(*given)
    for task in range(4):
        cluster.wait(f"{again}_{task}", "COMPLETED", 240)

    def contents(folder: Path) -> dict[str, bytes]:
        made = [p for kind in ("latents", "captions", "data") for p in (folder / kind).rglob("*") if p.is_file()]
        return {str(p.relative_to(folder)): p.read_bytes() for p in made if not p.name.endswith("lock")}

    assert contents(shared) == contents(alone) and len(contents(alone)) >= 8
