"""Requeueing of a SLURM job by the job itself, and its time limit.

SLURM requeues a job after a node has failed, and after a preemption without a grace time. If a job exits within the grace
time or before its limit, SLURM takes it as ended; so the job must ask to be requeued while it still runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import datetime

from ..ranks import first_rank, say
from .signals import Interrupted

TRY_AGAIN = 75  # EX_TEMPFAIL, a temporary failure: slurm/job.sh starts the job a second time


OURS = "LIGHTNING_DIFF_JOB"  # the id of the job, if slurm/job.sh started this process


def job_id() -> str | None:
    """The id of the SLURM job that slurm/job.sh started for this run; None for a command that a user types in a shell, a notebook
    or a tunnel inside of a job: that job is not ours to requeue."""
    job = os.environ.get("SLURM_JOB_ID")
    return job if job and job == os.environ.get(OURS) else None


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)


def job_details(job: str) -> dict[str, str]:
    """The fields that scontrol shows of a job. Raises OSError and SubprocessError."""
    words = _ask("scontrol", "show", "job", "--oneliner", job).stdout.split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def requeue(stop: Interrupted) -> str:
    """Requeue the job. The first rank calls this after everything is saved. Returns the message to print.

    Nothing is done at Ctrl-C, or if SLURM is already ending the job (cancelled, preempted, requeued by somebody else)."""
    job = job_id()
    if job is None or stop.number == signal.SIGINT:
        return ""
    try:
        state = job_details(job).get("JobState", "?")
        if state != "RUNNING":
            return f"SLURM is ending job {job} ({state})"
        _ask("scontrol", "requeue", job)
    except (OSError, subprocess.SubprocessError) as e:
        reason = (getattr(e, "stderr", None) or str(e)).strip().splitlines()[-1:]
        stop.exit_code = TRY_AGAIN
        return f"job {job} could not be requeued ({''.join(reason)}); submit the same command again to go on"
    return f"job {job} goes back into the queue, and continues there"


def seconds_left() -> float | None:
    """Seconds until the job's time limit; None outside of SLURM, or if there is no limit."""
    job = job_id()
    if job is None:
        return None
    try:
        end = datetime.fromisoformat(job_details(job)["EndTime"])
    except (OSError, subprocess.SubprocessError, KeyError, ValueError):
        return None
    return (end - datetime.now()).total_seconds()


def margin(left: float) -> float:
    """How many seconds before its limit a job stops: a tenth of the seconds `left`, at least 20 and at most 180."""
    return min(180.0, max(20.0, left / 10))


def set_alarm() -> None:
    """Let SIGALRM come `margin` seconds before the job's time limit."""
    left = seconds_left()
    if left is not None:
        signal.alarm(max(1, int(left - margin(left))))


def hand_back(stop: Interrupted) -> None:
    """Requeue the job of an interrupted process, once. Ranks other than the first exit with 0: after an error of theirs
    srun would kill the first rank before it is done."""
    if not first_rank():
        stop.exit_code = 0
    elif not stop.handed_back and (said := requeue(stop)):
        say(said)
    stop.handed_back = True
