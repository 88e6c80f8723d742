"""What a tracker is told of a run, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..config.registry import Choice

if TYPE_CHECKING:
    import numpy as np

Row = Mapping[str, Any]
CASE = ("guider", "sampler", "ema", "scale")  # the columns that say which case a row is, where a sweep has them
TABLES = ("sweep.csv", "sweep.json", "sweep.parquet")


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker knows of a run. `job` is train or evaluate, `config` plain values; `entity` owns the project."""

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
    """What a finished sweep tells. `pictures` are, row by row, the first of their case, uint8 [N, 3, H, W], of the first
    `captions`; `seed` is that of their noise."""

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
        """All but the passport."""
        return [c for c in self.rows[0] if c != "passport"]

    @property
    def measured(self) -> list[str]:
        """The columns that make a curve over the guidance scale; not the ends of intervals."""
        numbers = [c for c in self.columns if c not in self.case and isinstance(self.rows[0][c], float)]
        return [c for c in numbers if not c.endswith(("_low", "_high", "_std"))]

    def lines(self) -> dict[str, list[Row]]:
        """The rows by what they have in common but for the scale, in order of scale."""
        found: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=lambda r: float(r["scale"])):
            found.setdefault(line_of(row), []).append(row)
        return found


def line_of(row: Row) -> str:
    """Short, and fit for a folder's name: cfg, apg-ema0.1."""
    words = [str(row["guider"]), *([str(row["sampler"])] if "sampler" in row else [])]
    return "-".join([*words, *([f"ema{row['ema']:g}"] if row["ema"] else [])])


def tables(folder: Path) -> list[Path]:
    """The sweep's tables that are there."""
    return [folder / name for name in TABLES if (folder / name).is_file()]


class Mirror(Protocol):
    """One tracker. Any of these may raise: the tracker is then done without."""

    def train(self, step: int, values: Mapping[str, float]) -> None: ...

    def sweep(self, sweep: Sweep) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Tracker(Choice):
    """A place where a run is mirrored. Its keys say where; `open` loads the packages that it needs and begins."""

    title: ClassVar[str] = ""  # its name in messages, if that is not the choice's
    remedy: ClassVar[str] = "leave it out"  # what to do when its server does not answer

    @property
    def server(self) -> str:
        """The address that must answer, for the doctor to ask; empty if there is none."""
        return ""

    def open(self, run: TrackedRun) -> Mirror:
        """Begin to mirror this run, or go on with it. May raise: the tracker is then done without."""
        raise NotImplementedError
