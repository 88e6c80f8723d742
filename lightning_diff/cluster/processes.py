"""How many processes a training on this machine gets if the command does not say: on a CPU one of one thread for each core.

Threads of one process wait for the slowest one at each operation, so a busy neighbour on one core stops them all. Processes wait
once in a step."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..config.schema import Training
from ..devices import on_gpu
from ..ranks import started_ranks

LONG = 200  # steps: shorter trainings end before a second process has started
LEAST = 8  # samples of a batch for each process
SHARED = {"OMP_NUM_THREADS", "SLURM_JOB_ID"}  # they say that somebody else divides the cores
GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores() -> int:
    """The cores that this process may use: those of its affinity, and at most those that its control group pays for."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(bound, _quota())))


def _quota() -> float:
    """The share of cores that the control groups (version 2) of this process allow; infinite without a limit."""
    try:
        own = next(line for line in OWN.read_text().splitlines() if line.startswith("0::"))[3:]
    except (OSError, StopIteration):
        return math.inf
    groups = [GROUPS, *(GROUPS.joinpath(*own.split("/")[1 : n + 1]) for n in range(1, own.count("/") + 1))]
    limits = [math.inf]
    for group in groups:
        try:
            most, period = (group / "cpu.max").read_text().split()
            limits.append(int(most) / int(period))
        except (OSError, ValueError):  # no such group here, or "max"
            continue
    return min(limits)


def processes(training: Training) -> int:
    """training.devices of a command that does not say it: as many as a launcher started on each node; else one, or on a CPU one
    for each core if the training is long. OMP_NUM_THREADS says that the user divides the cores, and a SLURM allocation that its
    job script does."""
    if started := started_ranks():
        return max(1, started // training.nodes)
    shared = on_gpu(training.accelerator) or training.nodes > 1 or training.strategy != "ddp"
    if shared or training.steps < LONG or SHARED & set(os.environ):
        return 1
    fitting = (n for n in range(cores(), 0, -1) if training.batch % n == 0 and training.batch // n >= LEAST)
    return next(fitting, 1)


def with_processes(training: Training, words: Sequence[str]) -> Training:
    """The settings of a command with these `words`, its number of processes chosen for this machine if nothing says it."""
    said = training.devices != 1 or any(word.startswith("training.devices=") for word in words)
    return training if said else replace(training, devices=processes(training))
