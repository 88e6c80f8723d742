"""hydra/launcher=slurm: a sweep survives what happens on a cluster, and its command can be given again at any time."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lightning_diff.cluster.slurm import claim
from lightning_diff.config.paths import PACKAGE_FOLDER
from tests.cluster.conftest import Cluster, eventually, short, step_of

LAUNCHER = (
    "hydra/launcher=slurm",
    "hydra.launcher.poll=0.5",
    "hydra.launcher.time=10",
    "hydra.launcher.cpus_per_task=4",
)


def command(root: Path, *words: str) -> list[str]:
    return [sys.executable, "train.py", "-m", *short(root), *LAUNCHER, *words]


def swept(root: Path, word: str) -> Path:
    """The folder of a sweep's run: its name has only what is swept."""
    return root / f"base-{word}"


def start(cluster: Cluster, out: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    with out.open("w") as f:
        return subprocess.Popen(words, cwd=PACKAGE_FOLDER, env=cluster.env, stdout=f, stderr=subprocess.STDOUT)


def test_a_sweep_with_a_preemption_a_lost_node_and_a_failure(cluster: Cluster, tmp_path: Path) -> None:
    """Six runs, a node each (all of its CPUs): two at a time, in the partition that makes way.

    They are so long that none ends by itself between being found and being stopped, on a fast machine too.
    """
    words = command(tmp_path, "hydra.launcher.partition=low", "training.steps=200", "data.seed=0,1,2,3,4,5")
    runs = {seed: swept(tmp_path, f"data.seed={seed}") for seed in range(6)}
    runs[5].mkdir()
    (runs[5] / "parts").write_text("a file where a folder has to be")
    sweep = start(cluster, tmp_path / "said", words)

    def running(node: str) -> tuple[str, Path]:
        """The job that trains there: what has begun to count its steps."""

        def found() -> tuple[str, Path] | None:
            for job in cluster.on(node):
                for run in runs.values():
                    if (run / f"slurm-{job}.out").is_file() and 3 <= step_of(run) < 60:
                        return job, run
            return None

        return eventually(f"a run trains on {node}", found, instead=(tmp_path / "said").read_text)

    preempted, run = running("node01")
    urgent = cluster.submit(
        "--partition=high", "--nodelist=node01", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"
    )
    cluster.wait(urgent, "COMPLETED")
    lost, other = running("node02")
    cluster.kill("node02")
    eventually("the job of the lost node waits", lambda: cluster.jobs()[lost] == "PENDING", 60, cluster.jobs)
    cluster.restart("node02")
    assert sweep.wait(500) == 1

    said = (tmp_path / "said").read_text()
    assert "6 runs: 0 finished, 6 to submit, 0 in the queue" in said
    assert all("  group: base" in (runs[seed] / "config.yaml").read_text() for seed in range(5))
    for job, folder in ((preempted, run), (lost, other)):
        assert re.search("Restarts=[12] ", cluster.call("scontrol", "show", "job", job))  # one job may be stopped twice
        assert "continuing at step" in (folder / f"slurm-{job}.out").read_text()
    for seed in range(5):
        assert re.search(f"data.seed={seed}: job [0-9]+ finished", said) and step_of(runs[seed]) == 200
    (job,) = re.findall(r"data.seed=5: job ([0-9]+) failed; the end of", said)
    assert "/parts" in said.split("the end of")[1] and said.endswith(
        "1 of 6 runs failed; the same command submits these alone\n"
    )

    (runs[5] / "parts").unlink()
    before = cluster.jobs()
    said = cluster.call(*words)
    assert "6 runs: 5 finished, 1 to submit, 0 in the queue" in said
    (new,) = cluster.jobs().keys() - before.keys()
    assert (runs[5] / "slurm_job").read_text().strip() == new != job and step_of(runs[5]) == 200
    assert "6 runs: 6 finished, 0 to submit, 0 in the queue" in cluster.call(*words)


@pytest.mark.parametrize(
    "words, error",
    [
        (["objective=flow,bla"], "error: objective=bla: no such choice"),
        (["training.steps=1,0"], "error: training.steps=0: must be at least 1"),
        (["seed=0,1", "name=x"], "leave it out, then each run is named after what differs"),
        (["seed=0,1", "hydra.launcher.partition=hihg"], "error: sbatch: error: invalid partition specified: hihg"),
        (["seed=0,1", "hydra.launcher.nodes=3"], "error: training.batch=2: must be a multiple of devices x nodes = 3"),
        (["seed=0,1", "hydra.launcher.on_interrupt=leaf"], "error: hydra.launcher.on_interrupt=leaf: must be one of"),
        (
            ["seed=0,1", "hydra.launcher.pol=1"],
            "error: hydra.launcher.pol: no such key; did you mean 'hydra.launcher.poll'?",
        ),
        (["seed=0,1", "hydra.launcher.gpus_per_node=2", "hydra.launcher.tasks_per_node=1"], "one task a GPU"),
    ],
)
def test_nothing_is_submitted_if_anything_is_wrong(
    cluster: Cluster, tmp_path: Path, words: list[str], error: str
) -> None:
    before = cluster.jobs()
    said = cluster.call(*command(tmp_path, *words), code=2)
    assert error in said and said.count("\n") == 1
    assert cluster.jobs().keys() <= before.keys() and not list(tmp_path.glob("*/"))


def test_a_folder_of_another_run_is_refused_before_anything_is_submitted(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("seed: 7\n")
    said = cluster.call(*command(tmp_path, "name=mine", "seed=1"), code=2)
    assert "holds a run with seed=7" in said and cluster.call("squeue", "--noheader") == ""


@pytest.mark.parametrize("choice", ["leave", "cancel"])
def test_an_interrupt_leaves_the_jobs_or_cancels_them(cluster: Cluster, tmp_path: Path, choice: str) -> None:
    """Left, they are followed by the same command; cancelled, it submits them again."""
    words = command(tmp_path, "seed=0,1", "training.steps=120", f"hydra.launcher.on_interrupt={choice}")
    runs = [swept(tmp_path, f"seed={seed}") for seed in (0, 1)]
    sweep = start(cluster, tmp_path / "said", words)
    eventually("both train", lambda: all(step_of(run) >= 3 for run in runs), instead=(tmp_path / "said").read_text)
    jobs = [(run / "slurm_job").read_text().strip() for run in runs]
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(30) == 130
    said = (tmp_path / "said").read_text()
    if choice == "leave":
        assert said.endswith(f"Cancel: scancel {' '.join(jobs)}\n")
        for job in jobs:  # so that they are still there when the command is given again
            cluster.call("scontrol", "suspend", job)
    else:
        assert said.endswith("2 jobs cancelled; the same command goes on from their last checkpoints\n")
        for job in jobs:
            cluster.wait(job, "CANCELLED")
    sweep = start(cluster, tmp_path / "again", words)
    expected = f"2 runs: 0 finished, {'0 to submit, 2' if choice == 'leave' else '2 to submit, 0'} in the queue"
    eventually(expected, lambda: expected in (tmp_path / "again").read_text())
    if choice == "leave":
        for job in jobs:
            cluster.call("scontrol", "resume", job)
    assert sweep.wait(400) == 0
    same = [(run / "slurm_job").read_text().strip() for run in runs] == jobs
    assert same == (choice == "leave") and all(step_of(run) == 120 for run in runs)


def test_jobs_are_submitted_and_not_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    """Also for a run whose last job SLURM has forgotten."""
    claim(swept(tmp_path, "seed=0"), "1")
    words = command(tmp_path, "seed=0,1", "hydra.launcher.wait=false", "hydra.launcher.sbatch=[--hold]")
    cluster.call(*words)
    jobs = cluster.call("squeue", "--noheader", "--format=%A %T %r").splitlines()
    assert len(jobs) == 2 and all(job.endswith("PENDING JobHeldUser") for job in jobs)
    listed = cluster.call(sys.executable, "-m", "lightning_diff", f"outputs={tmp_path}")
    assert all(f"{job.split()[0]} pending" in listed for job in jobs)
    assert "0 to submit, 2 in the queue" in cluster.call(*words)
