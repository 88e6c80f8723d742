"""Calls of SLURM's commands sbatch, squeue and scancel, which every site has. (Users often may not use sacct.)"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..config.errors import ConfigError
from ..config.schema import Slurm
from ..files import write_text

SCRIPT = Path("slurm") / "train.sbatch"  # in the project folder, where jobs are submitted
JOB = "slurm_job"  # a file in a run's folder, with the id of the run's last job
ENDED = (
    *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL"),
    *("PREEMPTED", "REVOKED"),
)
GONE = "GONE"  # SLURM forgets a job some minutes after its end
TAIL = 20  # lines of a failed job's log


class SlurmError(ConfigError):
    """A command of SLURM failed. The message is in SLURM's own words."""


def ask(*command: str) -> str:
    """Run a command of SLURM and return its output. Raises SlurmError."""
    # A job that submits jobs must not pass its own SLURM variables on: sbatch would read them as options.
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") or k == "SLURM_CONF"}
    env.setdefault("PYTHON", sys.executable)
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    except FileNotFoundError as e:
        raise SlurmError(f"{command[0]}: no such command; run this where jobs are submitted") from e
    except subprocess.TimeoutExpired as e:
        raise SlurmError(f"{command[0]}: SLURM did not answer for {e.timeout:.0f} s") from e
    if done.returncode:
        said = " ".join(done.stderr.replace(f"{command[0]}: ", "").split())
        raise SlurmError(f"{command[0]}: {said or f'exit code {done.returncode}'}")
    return done.stdout


def options(settings: Slurm, folder: Path) -> list[str]:
    """The options of sbatch, before the script. Apart from them the job equals `sbatch slurm/train.sbatch OVERRIDES`."""
    log = str(folder.resolve() / "slurm-%j.out")
    asked = {
        "job-name": folder.name,
        "output": log.replace("%", "%%").replace("%%j.out", "%j.out"),
        "nodes": settings.nodes,
        "ntasks-per-node": settings.tasks,
        "gpus-per-node": settings.gpus_per_node,
        "cpus-per-task": settings.cpus_per_task,
        "partition": settings.partition,
        "time": settings.time,
    }
    return [*(f"--{name}={value}" for name, value in asked.items() if value), *settings.sbatch]


def submit(settings: Slurm, folder: Path, overrides: Sequence[str]) -> str:
    """Submit a job for this run, write its id into the run's folder, and return it. Raises SlurmError."""
    folder.mkdir(parents=True, exist_ok=True)
    answer = ask("sbatch", "--parsable", *options(settings, folder), str(SCRIPT), *overrides)
    job = answer.strip().split(";")[0]
    claim(folder, job)
    return job


def claim(folder: Path, job: str) -> None:
    """Write the id of a run's job into the run's folder."""
    write_text(folder / JOB, job + "\n")


def job_of(folder: Path) -> str | None:
    path = folder / JOB
    found = path.read_bytes().decode("ascii", "replace").strip() if path.is_file() else ""
    return found if re.fullmatch(r"[\w.+-]+", found) else None


def states(jobs: Iterable[str]) -> dict[str, str]:
    """The state of each job in SLURM's words; GONE for a job that SLURM does not know. Raises SlurmError."""
    known = list(dict.fromkeys(jobs))
    if not known:
        return {}
    try:
        said = ask("squeue", "--noheader", "--states=all", "--format=%A %T", f"--jobs={','.join(known)}")
    except SlurmError as e:
        if "Invalid job id" not in str(e):  # squeue says this if it has forgotten the only job asked for
            raise
        said = ""
    return dict.fromkeys(known, GONE) | dict(line.split() for line in said.splitlines())


def cancel(jobs: Iterable[str]) -> None:
    """Cancel these jobs. Raises SlurmError."""
    if some := list(jobs):
        ask("scancel", *some)


def log_of(folder: Path, job: str) -> Path:
    return folder / f"slurm-{job}.out"


def tail(path: Path) -> list[str]:
    """The last lines of a log, which may be long."""
    if not path.is_file():
        return ["(no log: the job did not start, or cannot write there)"]
    with path.open("rb") as f:
        f.seek(max(0, path.stat().st_size - 2**16))
        return f.read().decode(errors="replace").splitlines()[-TAIL:]
