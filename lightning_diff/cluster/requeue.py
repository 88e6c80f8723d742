"""A job of SLURM that has to stop goes back into the queue by its own hand, and knows its time limit.

SLURM itself requeues after a failed node and a preemption without a grace time. A job that leaves by itself within the
grace time, or before its limit, has ended for SLURM: unless it asks to be requeued while it still runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import datetime

from ..ranks import first_rank, say
from .signals import Interrupted

TRY_AGAIN = 75  # EX_TEMPFAIL: nothing is wrong with what was asked for; slurm/job.sh starts the job again


def job_id() -> str | None:
    """The SLURM job whose task this process is."""
    return os.environ.get("SLURM_JOB_ID") if "SLURM_PROCID" in os.environ else None


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)


def job_details(job: str) -> dict[str, str]:
    """What scontrol says of the job. Raises OSError and SubprocessError."""
    words = _ask("scontrol", "show", "job", "--oneliner", job).stdout.split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def requeue(stop: Interrupted) -> str:
    """Called by the first rank after all is saved. Returns what to tell. A job that SLURM is ending already (cancelled,
    preempted, requeued by another) is left to it; so is a Ctrl-C."""
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
    """Until the job's time limit; None outside of SLURM and where there is none."""
    job = job_id()
    if job is None:
        return None
    try:
        end = datetime.fromisoformat(job_details(job)["EndTime"])
    except (OSError, subprocess.SubprocessError, KeyError, ValueError):
        return None
    return (end - datetime.now()).total_seconds()


def margin(left: float) -> float:
    """How many seconds before its limit a job stops that has so many left: a tenth, from 20 seconds to 3 minutes."""
    return min(180.0, max(20.0, left / 10))


def set_alarm() -> None:
    """SIGALRM some time before the limit."""
    left = seconds_left()
    if left is not None:
        signal.alarm(max(1, int(left - margin(left))))


def hand_back(stop: Interrupted) -> None:
    """What an interrupted process owes to SLURM, once. Other ranks end with 0: their error would have srun kill the first
    one before it is done."""
    if not first_rank():
        stop.exit_code = 0
    elif not stop.handed_back and (said := requeue(stop)):
        say(said)
    stop.handed_back = True
