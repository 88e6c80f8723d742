"""A real SLURM cluster on this machine, for all tests of this folder: `make cluster`, on Debian, as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_diff.config.paths import PACKAGE_FOLDER
from lightning_diff.tracking.record import Record

SCRIPT = PACKAGE_FOLDER / "slurm" / "cluster"
FREE_OF = ("SLURM", "SBATCH", "SRUN", "HYDRA")  # the environment of a test is not that of a job around it
SMALLEST = ("debug=one_batch", "net=tiny", "training.batch=2", "training.precision=32-true")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")


class Cluster:
    """What a test does to it. A folder and ports of its own: a cluster started by hand is left alone."""

    def __init__(self) -> None:
        self.folder = Path(f"/tmp/lightning-diff-cluster-{os.getpid()}")
        port = 20000 + os.getpid() % 3000 * 3
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(FREE_OF)}
        self.env |= {"CLUSTER": str(self.folder), "CLUSTER_PORT": str(port)}
        self.env["OMP_NUM_THREADS"] = "1"  # jobs share the cores of one machine, whatever the nodes say they have
        self.env |= {"SLURM_CONF": str(self.folder / "slurm.conf"), "COLUMNS": "200"}

    def call(self, *command: object, code: int = 0, **more: str) -> str:
        """What a command says, run from the project's folder. It must end with this code."""
        words = [str(c) for c in command]
        done = subprocess.run(
            words, cwd=PACKAGE_FOLDER, env=self.env | more, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, f"{' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def up(self) -> None:
        self.call(SCRIPT, "up")

    def down(self) -> None:
        self.call(SCRIPT, "down")

    def kill(self, node: str) -> None:
        self.call(SCRIPT, "kill", node)

    def restart(self, node: str) -> None:
        self.call(SCRIPT, "restart", node)

    def submit(self, *words: object) -> str:
        """The id of the job that `sbatch WORDS` makes."""
        return self.call("sbatch", "--parsable", *words).strip()

    def jobs(self) -> dict[str, str]:
        """The state of every job since the cluster started; of an array's elements, by ARRAY_INDEX."""
        lines = self.call("squeue", "--noheader", "--states=all", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait(self, job: str, state: str, seconds: float = 300) -> None:
        def there() -> bool:
            now = self.jobs().get(job)
            assert now == state or now not in ENDED, f"job {job} is {now}, not {state}"
            return now == state

        eventually(f"job {job} is {state}", there, seconds, self.jobs)

    def on(self, node: str) -> list[str]:
        """The ids of what runs there."""
        return self.call("squeue", "--noheader", "--states=running", f"--nodelist={node}", "--format=%A").split()


def eventually(what: str, probe: Callable[[], Any], seconds: float = 300, instead: Callable[[], Any] = str) -> Any:
    """What `probe` answers, once that is true of anything."""
    end = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < end, f"not after {seconds:.0f} s: {what}; instead: {instead()}"
        time.sleep(0.3)
    return found


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    cluster.up()
    yield cluster
    cluster.down()
    shutil.rmtree(cluster.folder)


@pytest.fixture
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with no job of another test on it."""
    yield running_cluster
    running_cluster.call("scancel", "--user=root")
    eventually("all jobs have left", lambda: not running_cluster.call("squeue", "--noheader"), 60)


def short(root: Path) -> list[str]:
    """The words of the smallest main job, kept in this folder."""
    return ["experiment=base", *SMALLEST, f"outputs={root}", f"cache={root}/cache"]


def run_of(root: Path, *words: str) -> Path:
    """The folder of the run with these words more."""
    return root / "-".join(["base", *SMALLEST, *words])


def step_of(folder: Path) -> int:
    """The last step that a run has recorded."""
    return max((int(row["step"]) for row in Record(folder).curve()), default=0)
