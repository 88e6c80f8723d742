"""A table of the runs in a folder, with their best numbers, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from ..cluster import slurm
from ..config.errors import ConfigError
from ..config.paths import WEIGHTS
from ..config.schema import Config
from ..evaluation.results import study_rows
from ..evaluation.sweep import best_row
from ..ranks import Fitting, console
from ..tracking.record import Record

COLUMNS = ("run", "state", "step", "loss", "best w", "FID", "CLIP score", "obeyed")


def list_runs(outputs: Path) -> None:
    """Print the table of all runs in `outputs`, the newest last. Raises ConfigError if there are none."""
    began = {p.parent: p.stat().st_mtime for name in (slurm.JOB, "config.yaml") for p in outputs.glob(f"*/{name}")}
    if not began:
        raise ConfigError(f"outputs={outputs}: no runs in it; python train.py experiment=base makes one")
    folders = sorted(began, key=lambda folder: began[folder])
    console.print(runs_table(folders, _jobs(folders)))
    console.print(
        "python -m lightning_diff open=NAME opens a report; report=NAME,NAME puts runs side by side", highlight=False
    )


def runs_table(folders: Sequence[Path], jobs: Mapping[Path, str]) -> Fitting:
    """A table with one row for each run. `jobs` holds the SLURM job and its state, for runs that have one."""
    rows = []
    first = [Column(COLUMNS[0], overflow="fold", min_width=16), *([Column("job", min_width=9)] if jobs else [])]
    table = Table(*first, *COLUMNS[1:])
    for folder in folders:
        record = folder / "record.jsonl"
        name, *rest = _cells(folder, record.stat().st_mtime_ns if record.is_file() else 0)
        rows.append([name, *([jobs.get(folder, "")] if jobs else []), *rest])
        table.add_row(*rows[-1])
    return Fitting(table, [str(column.header) for column in table.columns], rows)


def is_finished(config: Config, folder: Path) -> bool:
    """Whether the same command would do nothing: the weights and all asked measurements are there."""
    if not (folder / WEIGHTS).is_file():
        return False
    if config.task != "diffusion" or not config.evaluation.enabled:
        return True
    record = Record(folder)
    measured = {row["scale"] for row in record.read("sweep")}
    return set(config.guidance.scales) <= measured and bool(record.read("best")) and (folder / "report.html").is_file()


def _jobs(folders: Sequence[Path]) -> dict[Path, str]:
    """The job of each run that has one, with its state if SLURM answers and still knows the job."""
    given = {folder: job for folder in folders if (job := slurm.job_of(folder))}
    try:
        now = slurm.states(given.values())
    except slurm.SlurmError:
        now = {}
    return {folder: f"{job} {now.get(job, slurm.GONE).lower()}".removesuffix(" gone") for folder, job in given.items()}


@cache
def _cells(folder: Path, stamp: int) -> list[str]:
    """The cells of a run's row. They are cached; `stamp` is the time of its record, so a live table reads only changed runs."""
    record = Record(folder)
    curve, (rows, _) = record.curve(), study_rows(folder)
    last: Any = curve[-1] if curve else {}
    state = "measured" if rows else "trained" if (folder / WEIGHTS).is_file() else "unfinished"
    cells = [folder.name, state, str(last.get("step", "")), f"{last['loss']:.4f}" if "loss" in last else ""]
    if not rows:
        return [*cells, "", "", "", ""]
    best = best_row(rows)
    obeyed = f"{100 * best['accuracy']:.1f} %" if "accuracy" in best else ""
    return [*cells, f"{best['scale']:g}", f"{best['fid']:.3g}", f"{best['clip_score']:.4g}", obeyed]
