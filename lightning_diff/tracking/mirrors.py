"""Mirrors of the run folder: what each of them is told, and the fan-out that outlives any of them (law 6)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..config.schema import Config
from .base import Mirror, Sweep

log = logging.getLogger(__name__)

NAMES = {"tensorboard": "TensorBoard", "csv": "metrics.csv", "mlflow": "MLflow", "wandb": "W&B"}


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
        from .tensorboard import TensorBoard

        return TensorBoard(folder)
    if name == "csv":
        from .csv import MetricsCsv

        return MetricsCsv(folder)
    if name == "mlflow":
        from .mlflow import MLflow

        return MLflow(config, folder, job)
    from .wandb import WeightsAndBiases

    return WeightsAndBiases(config, folder, job)
