"""Mirrors of the run folder: what each of them is told, and the fan-out that outlives any of them (law 6)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..config import Config

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
NAMES = {"tensorboard": "TensorBoard", "csv": "metrics.csv", "mlflow": "MLflow", "wandb": "W&B"}
CASE = ("guider", "sampler", "ema", "scale")  # the columns that say which case a row is, where a sweep has them
TABLES = ("sweep.csv", "sweep.json", "sweep.parquet")


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


class Mirrors:
    """All that were asked for and could be opened. One that fails is dropped with a word, and the run goes on."""

    def __init__(self, makers: Mapping[str, Callable[[], Mirror]]) -> None:
        self.open: dict[str, Mirror] = {}
        for name, make in makers.items():
            try:
                self.open[name] = make()
            except Exception as e:
                log.warning("no %s mirror at all (%s): the run's own record is whole", name, type(e).__name__)

    def train(self, step: int, values: Mapping[str, float]) -> None:
        self._each(lambda mirror: mirror.train(step, values))

    def sweep(self, sweep: Sweep) -> None:
        self._each(lambda mirror: mirror.sweep(sweep))

    def finish(self) -> None:
        self._each(lambda mirror: mirror.finish())
        self.open = {}

    def _each(self, work: Callable[[Mirror], None]) -> None:
        for name, mirror in list(self.open.items()):
            try:
                work(mirror)
            except Exception as e:
                log.warning("%s is lost (%s): the run goes on without it; its record is whole", name, type(e).__name__)
                del self.open[name]


def open_mirrors(config: Config, folder: Path, job: str = "train", first_rank: bool = True) -> Mirrors:
    """`job` is train or evaluate. Ranks but the first have no mirrors. W&B is last: it may wait for a server."""
    t = config.tracking
    asked = [*t.also, *(["wandb"] if t.wandb != "disabled" else [])] if first_rank else []
    return Mirrors({NAMES[name]: partial(_open, name, config, folder, job) for name in asked})


def _open(name: str, config: Config, folder: Path, job: str) -> Mirror:
    """Imported when asked for: their packages take seconds to load."""
    if name == "tensorboard":
        from .tensorboard_mirror import TensorBoard

        return TensorBoard(folder)
    if name == "csv":
        from .metrics_csv import MetricsCsv

        return MetricsCsv(folder)
    if name == "mlflow":
        from .mlflow_mirror import MLflow

        return MLflow(config, folder, job)
    from .weights_and_biases import WeightsAndBiases

    return WeightsAndBiases(config, folder, job)


def tags(config: Config) -> list[str]:
    """Those asked for, then what a run is filtered by."""
    own = [config.task, config.data.kind]
    if config.task == "diffusion":
        own += [config.objective.prediction, config.guidance.kind]
    return list(dict.fromkeys([*config.tracking.tags, *own]))
