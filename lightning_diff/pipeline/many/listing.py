"""A table of runs for the terminal: a line for each run, a column for each key that differs, the state, the best numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from ...cluster import slurm
from ...config.errors import ConfigError, nearest
from ...evaluation.results import study_rows
from ...evaluation.statistics.verdict import best_row
from ...ranks import console
from ...tracking.record import Record
from ..state import state_of
from .differences import Values, all_values, config_of, differing, names_of, short_keys, short_value

NUMBERS = ("w", "n", "FID", "CLIP score", "obeyed", "step", "loss")
NEEDED = ("run", "job", "state", "FID")  # columns that a table has even where it is too wide
SOON = ("w", "CLIP score")  # columns that come before the keys that differ if there is little room
LOSS = ("objective.", "task")  # keys that decide what the loss is
PIPE = 200  # letters of a line where no terminal says its width


def list_runs(outputs: Path, columns: Sequence[str] = ()) -> None:
    """Print the table of all runs in `outputs`, the newest last. Raises ConfigError if there are none."""
    began = {p.parent: p.stat().st_mtime for name in (slurm.JOB, "config.yaml") for p in outputs.glob(f"*/{name}")}
    if not began:
        raise ConfigError(f"outputs={outputs}: no runs in it; python train.py experiment=base makes one")
    folders = sorted(began, key=lambda folder: began[folder])
    console.print(runs_table(folders, _jobs(folders), columns))
    console.print(
        "python -m lightning_diff open=NAME opens a report; report=NAME,NAME or report='PATTERN*' puts runs side by side; "
        "columns=NAME,NAME chooses the columns",
        highlight=False,
    )


def runs_table(folders: Sequence[Path], jobs: Mapping[Path, str], columns: Sequence[str] = ()) -> RunsTable:
    """A table with a line for each run. `jobs` holds the SLURM job and its state, for runs that have one; `columns` chooses the
    columns. Raises ConfigError for a column that there is not."""
    values: dict[Path, Values] = {}
    for folder in folders:
        try:
            values |= {folder: all_values(folder)} if (folder / "config.yaml").is_file() else {}
        except ConfigError as e:
            console.print(str(e), highlight=False)
    folders = [folder for folder in folders if folder in values or not (folder / "config.yaml").is_file()]
    names, keys = names_of(folders), differing(list(values.values()))
    told = short_keys(keys)
    lines = []
    for folder in folders:
        record, has = folder / "record.jsonl", values.get(folder, {})
        line = {"run": names[folder], **({"job": jobs.get(folder, "")} if jobs else {})}
        line |= {key: short_value(has[key]) if key in has else "" for key in [*keys, *_wanted(columns, values)]}
        lines.append(line | _cells(folder, record.stat().st_mtime_ns if record.is_file() else 0, bool(has)))
    silent = set[str]()
    if len({line.get("n") for line in lines} - {None}) < 2:  # how many pictures: said where it differs
        silent.add("n")
    if any(key.startswith(LOSS) for key in keys):  # losses of unlike objectives say nothing beside each other
        silent.add("loss")
    lines = [{name: cell for name, cell in line.items() if name not in silent} for line in lines]
    shown = ("w", "FID", "CLIP score", "obeyed")  # known while no run is measured, too
    known = {**{told[key]: key for key in keys}, **{name: name for some in (shown, *lines) for name in some}}
    for column in columns:
        if column not in known:
            raise ConfigError(f"columns={column}: no such column; {nearest(column, list(known))}")
    return RunsTable(lines, keys, told, [known[column] for column in columns])


def _wanted(columns: Sequence[str], values: Mapping[Path, Values]) -> list[str]:
    """The chosen columns that are keys of a config, whether they differ or not."""
    return [column for column in columns if any(column in has for has in values.values())]


class RunsTable:
    """The lines of a table, which is as wide as the terminal: the columns that have no room are named below it."""

    def __init__(
        self, lines: Sequence[Mapping[str, str]], keys: Sequence[str], told: Mapping[str, str], chosen: Sequence[str]
    ) -> None:
        self.lines, self.keys, self.told, self.chosen = lines, keys, told, chosen

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        room = options.max_width if console.is_terminal else max(options.max_width, PIPE)
        names = list(self.chosen) or self._fitting(room)
        if self._width(names) > room:
            for line in self.lines:
                first, *rest = names
                cells = [f"{self._header(name)} {line[name]}" for name in rest if line.get(name)]
                yield Text(f"{line[first]}: {', '.join(cells)}", no_wrap=True, overflow="ignore")
        else:
            table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
            for name in names:
                table.add_column(self._header(name), no_wrap=True, justify="right" if name in NUMBERS else "left")
            for line in self.lines:
                table.add_row(*(line.get(name, "") for name in names))
            yield from console.render(table, options.update(width=room, max_width=room))
        left = [key for key in self.keys if key not in names]
        if left and not self.chosen:
            some = ", ".join(left[:6]) + (f" and {len(left) - 6} more" if len(left) > 6 else "")
            yield Text(f"also different: {some}", no_wrap=False, overflow="fold")

    def _header(self, name: str) -> str:
        return self.told.get(name, name)

    def _width(self, names: Sequence[str]) -> int:
        """The letters of a line."""
        return sum(3 + max(len(w) for w in (self._header(n), *(line.get(n, "") for line in self.lines))) for n in names)

    def _fitting(self, room: int) -> list[str]:
        """The columns that have room, in their order. A column that has nothing in it is left out."""
        order = ["run", "job", *self.keys, "state", *NUMBERS]
        order = [name for name in order if any(line.get(name) for line in self.lines)]
        first = [name for name in order if name in NEEDED]
        for name in sorted(order, key=lambda name: (name not in SOON, name not in self.keys)):
            if name not in first and self._width([*first, name]) <= room:
                first.append(name)
        return [name for name in order if name in first]


def _jobs(folders: Sequence[Path]) -> dict[Path, str]:
    """The job of each run that has one, with its state if SLURM answers and still knows the job."""
    given = {folder: job for folder in folders if (job := slurm.job_of(folder))}
    try:
        now = slurm.states(given.values())
    except slurm.SlurmError:
        now = {}
    return {folder: f"{job} {now.get(job, slurm.GONE).lower()}".removesuffix(" gone") for folder, job in given.items()}


def _cells(folder: Path, stamp: int, begun: bool) -> dict[str, str]:
    """The state and the numbers of a run."""
    step, loss, best = _numbers(folder, stamp)
    cells = {"state": state_of(folder, config_of(folder), step, bool(best)) if begun else "not begun"}
    cells |= {"step": f"{step:,}" if step else "", "loss": "" if loss is None else f"{loss:.4f}"}
    if best:
        obeyed = f"{100 * best['accuracy']:.1f} %" if "accuracy" in best else ""
        cells |= {"w": f"{best['scale']:g}", "n": str(best["n"]), "FID": f"{best['fid']:.3g}"}
        cells |= {"CLIP score": f"{best['clip_score']:.4g}", "obeyed": obeyed}
    return cells


@cache
def _numbers(folder: Path, stamp: int) -> tuple[int, float | None, dict[str, Any]]:
    """The last step, its loss, and the best row. They are cached; `stamp` is the time of the run's record, so a live table reads
    only runs that have changed."""
    curve, (rows, _) = Record(folder).curve(), study_rows(folder)
    last: Any = curve[-1] if curve else {}
    return last.get("step", 0), last.get("loss"), best_row(rows) if rows else {}
