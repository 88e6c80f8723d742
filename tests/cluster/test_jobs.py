"""The job scripts, as they are submitted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_diff.tracking.record import Record
from tests.cluster.conftest import Cluster, eventually, short, step_of

SMALL = ("--cpus-per-task=2", "--time=10")


def test_a_job_that_is_told_to_stop_goes_on_as_the_same_job(cluster: Cluster, tmp_path: Path) -> None:
    log, run = tmp_path / "log", tmp_path / "run"
    words = [*short(tmp_path), "training.steps=80", "evaluation.enabled=false", "name=run"]
    job = cluster.submit(*SMALL, f"--output={log}", "slurm/train.sbatch", *words)
    eventually("step 5", lambda: step_of(run) >= 5, instead=log.read_text)
    cluster.call("scancel", "--signal=TERM", job)
    cluster.wait(job, "PENDING")
    cluster.wait(job, "COMPLETED")
    said = log.read_text()
    assert "stopped by SIGTERM at step" in said and "run: continuing at step" in said
    assert step_of(run) == 80


def test_each_element_of_an_array_is_a_line_of_the_file(cluster: Cluster, tmp_path: Path) -> None:
    lines = tmp_path / "runs.txt"
    lines.write_text("objective=v 'guidance.scales=[1, 2]'\nobjective=eps seed=1\n")
    words = ["--array=1-3", f"--output={tmp_path}/%a", "slurm/sweep.sbatch", lines, *short(tmp_path)]
    array = cluster.submit(*SMALL, *words)
    for element, state in (("1", "COMPLETED"), ("2", "COMPLETED"), ("3", "FAILED")):
        cluster.wait(f"{array}_{element}", state)
    assert "no line 3; --array=1-2" in (tmp_path / "3").read_text()
    (v,), (eps,) = (list(tmp_path.glob(f"*objective={word}*/sweep.csv")) for word in ("v", "eps"))
    assert v.read_text().count("\n") == eps.read_text().count("\n") == 3

    words = [f"run={v.parent}", "guidance.scales=[1,4]", "evaluation.batch=4"]
    job = cluster.submit("--ntasks-per-node=2", f"--output={tmp_path}/log", "slurm/evaluate.sbatch", *words)
    cluster.wait(job, "COMPLETED")
    assert [r["scale"] for r in Record(v.parent).read("sweep")] == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("count, state, said", [(24, "COMPLETED", "20 captioned pictures"), (0, "FAILED", "error: ")])
def test_pictures_are_prepared_or_the_log_says_why_not(
    cluster: Cluster, tmp_path: Path, pictures_folder: Path, count: int, state: str, said: str
) -> None:
    for picture in sorted(pictures_folder.iterdir())[2 * count :]:
        picture.unlink()
    log = tmp_path / "log"
    words = ["data=folder", f"source={pictures_folder}", "data.test=4", f"cache={tmp_path}/cache"]
    cluster.wait(cluster.submit(f"--output={log}", "slurm/prepare.sbatch", *words), state)
    assert said in log.read_text() and "Traceback" not in log.read_text()
