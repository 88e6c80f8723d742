"""The interface of trackers: the data of a run that a tracker gets, and the methods that it must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from ..config.registry import Choice

if TYPE_CHECKING:
    import numpy as np

Row = Mapping[str, Any]
CASE = ("guider", "sampler", "ema", "scale")  # the columns that identify a row's case, if a sweep has them
TABLES = ("sweep.csv", "sweep.json", "sweep.parquet")


@dataclass(frozen=True)
class TrackedRun:
    """The facts about a run that a tracker gets. `job` is train or evaluate, `config` holds plain values, `entity` owns the
    project."""

    folder: Path
    job: str
    config: Mapping[str, Any]
    project: str
    entity: str | None = None
    group: str | None = None
    tags: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass(frozen=True)
class Sweep:
    """The results of a finished sweep. `pictures` has for each row the first pictures of its case, uint8 [N, 3, H, W]; they
    belong to the first `captions`. `seed` is the seed of their noise."""

    rows: Sequence[Row]
    best: Row
    seed: int
    pictures: Sequence[np.ndarray]
    captions: Sequence[str]
    figures: Sequence[Path]
    report: Path

    @property
    def case(self) -> list[str]:
        return [c for c in CASE if c in self.rows[0]]

    @property
    def columns(self) -> list[str]:
        """All columns except the passport."""
        return [c for c in self.rows[0] if c != "passport"]

    @property
    def measured(self) -> list[str]:
        """The columns that make a curve over the guidance scale, without the ends of intervals."""
        numbers = [c for c in self.columns if c not in self.case and isinstance(self.rows[0][c], float)]
        return [c for c in numbers if not c.endswith(("_low", "_high", "_std"))]

    def lines(self) -> dict[str, list[Row]]:
        """The rows of each line, in order of the scale. A line has all rows that differ only in the scale."""
        found: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=lambda r: float(r["scale"])):
            found.setdefault(line_of(row), []).append(row)
        return found


def line_of(row: Row) -> str:
    """The name of a row's line, short, usable as a folder name: cfg, apg-ema0.1."""
    words = [str(row["guider"]), *([str(row["sampler"])] if "sampler" in row else [])]
    ends = [f"{row['steps']}steps"] if "steps" in row else []  # of a run that was trained longer
    return "-".join([*words, *([f"ema{row['ema']:g}"] if row["ema"] else []), *ends])


def step_of(row: Row) -> int:
    """The step at which a logger that knows whole steps alone shows a row of a sweep: 1000 w."""
    return round(1000 * float(row["scale"]))


def tables(folder: Path) -> list[Path]:
    """The paths of the sweep's tables that exist."""
    return [folder / name for name in TABLES if (folder / name).is_file()]


class Mirror(Protocol):
    """A run in one tracker. If a method raises, the run continues without this tracker."""

    def train(self, step: int, values: Mapping[str, float]) -> None: ...

    def sweep(self, sweep: Sweep) -> None: ...

    def finish(self) -> None: ...


@runtime_checkable
class ShowsPages(Protocol):
    """A mirror that shows pages of the run, each an HTML file of its own."""

    def page(self, name: str, path: Path) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Tracker(Choice):
    """A tracker that mirrors a run. Its keys say where; `open` imports the packages that it needs and starts."""

    title: ClassVar[str] = ""  # its name in messages, if that is not the choice's
    remedy: ClassVar[str] = "leave it out"  # what to do when its server does not answer

    @property
    def server(self) -> str:
        """The address of its server, which the doctor checks; empty if there is none."""
        return ""

    def open(self, run: TrackedRun) -> Mirror:
        """Start to mirror this run, or continue. If this raises, the run continues without this tracker."""
        raise NotImplementedError
