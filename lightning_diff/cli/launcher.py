"""The launcher hydra/launcher=slurm: it submits each run of a multirun as `sbatch slurm/train.sbatch OVERRIDES` would.

The launcher stores nothing about the multirun. A run's folder says whether the run is finished and which job it has, and
SLURM knows the state of that job. So the same command, given a second time, follows the running jobs and submits the
missing ones.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rich.live import Live

from ..cluster import slurm
from ..cluster.slurm import ENDED, GONE, SlurmError
from ..config.checks import check_values
from ..config.compose import compose_config
from ..config.errors import ConfigError
from ..config.input.search import SEARCH
from ..config.input.typed import as_typed
from ..config.installed import check_installed
from ..config.paths import PACKAGE_FOLDER
from ..config.schema import Config, Slurm
from ..pipeline.continuing.same import keep_config, refuse_another
from ..pipeline.many.listing import runs_table
from ..pipeline.naming import group_name, run_folder
from ..pipeline.state import is_finished
from ..ranks import console, say
from .multirun import report_all

FINISHED = "finished"


@dataclass
class Job:
    """A run of the multirun. `state` is SLURM's word for its job, or `finished`. `over`: the job has ended."""

    overrides: Sequence[str]
    config: Config
    folder: Path
    id: str = ""
    state: str = ""
    over: bool = False


def launch(settings: Slurm, sweep: Sequence[Sequence[str]], swept: Sequence[str] = ()) -> None:
    """Submit the missing runs, and wait until all have ended if settings.wait. `swept` are the keys with several values. Raises
    ConfigError before anything is submitted. Exits with 1 if runs failed, with 130 at Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the handler of a training would save and requeue
    jobs = planned(settings, sweep, swept)
    find_out(jobs)
    missing = [job for job in jobs if not job.state]
    if missing:  # sbatch itself checks the partition, the account and the limits
        slurm.ask("sbatch", "--test-only", *slurm.options(settings, missing[0].folder), str(slurm.SCRIPT))
    say(f"{len(jobs)} runs: {_count(jobs, FINISHED)} finished, {len(missing)} to submit, {_live(jobs)} in the queue")
    try:
        for job in missing:
            keep_config(job.config, job.folder)  # so that another multirun sees whose folder it is while the job waits
            job.id, job.state = slurm.submit(settings, job.folder, job.overrides), "PENDING"
        if settings.wait:
            follow(jobs, settings.poll)
    except KeyboardInterrupt:
        end(interrupted(jobs, settings), 130)
    show(jobs)
    if settings.wait:
        report(jobs)
        report_all([job.folder for job in jobs])
    else:
        say("the same command shows how they are and waits; python -m lightning_diff shows it once")


def planned(settings: Slurm, sweep: Sequence[Sequence[str]], swept: Sequence[str] = ()) -> list[Job]:
    """Check every run of the multirun and make its Job. Raises ConfigError."""
    check_values(settings, "hydra.launcher.")
    if settings.gpus_per_node and settings.tasks != settings.gpus_per_node:
        raise ConfigError(
            f"hydra.launcher.tasks_per_node={settings.tasks}: must be gpus_per_node={settings.gpus_per_node}, "
            "one task a GPU; leave it out"
        )
    for option in settings.sbatch:
        if not option.startswith("--"):
            raise ConfigError(f"hydra.launcher.sbatch={option}: options are written --name=value")
    if Path.cwd() != PACKAGE_FOLDER:
        raise ConfigError(f"hydra/launcher=slurm: jobs start in the project folder; cd {PACKAGE_FOLDER} first")
    ranks = [f"training.nodes={settings.nodes}", f"training.devices={settings.tasks}"]
    jobs: dict[Path, Job] = {}
    for overrides in sweep:
        config = compose_config([*ranks, *overrides], SEARCH.name)
        folder = run_folder(config, overrides, swept)
        if folder in jobs:
            raise ConfigError(
                f"{' '.join(overrides)}: the same folder as of {' '.join(jobs[folder].overrides)}, {folder}; "
                "leave name= out, then each run is named after its overrides"
            )
        if not config.cluster.slurm:
            raise ConfigError("cluster.slurm=false: a job of hydra/launcher=slurm heeds SLURM; leave it out")
        refuse_another(folder, config, train=True)
        check_installed(config)
        words = [*SEARCH.flags, *map(as_typed, overrides)]
        if not config.tracking.group:
            config.tracking.group = group_name(config, overrides)
            words.append(f"tracking.group={config.tracking.group}")
        name = (
            f"name={folder.relative_to(config.outputs)}"  # the job sees one value of each key, and not which are swept
        )
        jobs[folder] = Job([*(word for word in words if not word.startswith("name=")), name], config, folder)
    return list(jobs.values())


def find_out(jobs: Sequence[Job]) -> None:
    """Find out from the folders which runs are finished and which have a job already. Raises SlurmError."""
    given = {job.folder: slurm.job_of(job.folder) or "" for job in jobs}
    now = slurm.states(i for i in given.values() if i)
    for job in jobs:
        state = now.get(given[job.folder], GONE)
        if is_finished(job.config, job.folder):
            job.id, job.state, job.over = given[job.folder], FINISHED, True
        elif state not in (*ENDED, GONE):
            job.id, job.state = given[job.folder], state


def follow(jobs: Sequence[Job], poll: float) -> None:
    """Wait until all jobs have ended. A terminal shows a live table; otherwise one line is printed for each change."""
    with Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else nullcontext() as live:
        while True:
            before = [job.state for job in jobs]
            try:
                update(jobs)
            except SlurmError as e:  # the jobs run without us
                console.print(f"{e}; asking again", highlight=False)
            if live:
                live.update(table(jobs), refresh=True)
            for job, old in zip(jobs, before, strict=True):
                if job.state != old and not live:
                    console.print(f"{job.folder.name}: job {job.id} {job.state.lower()}", highlight=False)
            if all(job.over for job in jobs):
                return
            time.sleep(poll)


def update(jobs: Sequence[Job]) -> None:
    """Ask SLURM for the states. A job has ended when SLURM says so twice, because a requeued job may look ended for a moment."""
    now = slurm.states(job.id for job in jobs if not job.over)
    for job in jobs:
        if job.over:
            continue
        state = now[job.id]
        if state in (*ENDED, GONE):
            if is_finished(job.config, job.folder):
                job.over, state = True, FINISHED
            job.over = job.over or state == job.state
        job.state = state


def table(jobs: Sequence[Job]) -> Any:
    return runs_table(
        [job.folder for job in jobs], {job.folder: f"{job.id} {job.state.lower()}".strip() for job in jobs}
    )


def show(jobs: Sequence[Job]) -> None:
    console.print(table(jobs))


def report(jobs: Sequence[Job]) -> None:
    """Print the end of the log of each failed run. Exits with 1 if there is one."""
    failed = [job for job in jobs if job.state != FINISHED]
    for job in failed:
        log = slurm.log_of(job.folder, job.id)
        console.print(f"\n{job.folder.name}: job {job.id} {job.state.lower()}; the end of {log}:", highlight=False)
        for line in slurm.tail(log):
            console.print(f"  {line}", highlight=False, markup=False)
    if failed:
        end(f"{len(failed)} of {len(jobs)} runs failed; the same command submits these alone", 1)


def interrupted(jobs: Sequence[Job], settings: Slurm) -> str:
    """Leave the jobs or cancel them, as settings.on_interrupt says. Returns the message to print."""
    ids = [job.id for job in jobs if job.id and not job.over]
    if settings.on_interrupt == "cancel":
        slurm.cancel(ids)
        return f"stopped; {len(ids)} jobs cancelled; the same command goes on from their last checkpoints"
    return (
        f"stopped watching; {len(ids)} jobs go on. Follow: the same command, or python -m lightning_diff. "
        f"Cancel: scancel {' '.join(ids)}"
    )


def end(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)


def _count(jobs: Sequence[Job], state: str) -> int:
    return sum(job.state == state for job in jobs)


def _live(jobs: Sequence[Job]) -> int:
    return sum(bool(job.state) and not job.over for job in jobs)
