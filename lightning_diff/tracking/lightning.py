"""A mirror that uses any logger of Lightning. So Comet, Neptune, Aim, trackio and others need no code of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .base import Sweep, step_of

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


class LightningLogger:
    """Logs a run to a `pytorch_lightning.loggers.Logger`. A tracker's `open(run)` makes the logger and returns, for example,
    `LightningLogger(CometLogger(project=run.project, name=run.name), run.config)`.

    The logger gets the config once, the training's numbers at their steps, a sweep's numbers at step 1000 w, and the numbers of
    the best row."""

    def __init__(self, logger: Logger, config: Mapping[str, Any]) -> None:
        self.logger = logger
        logger.log_hyperparams(dict(config))

    def train(self, step: int, values: Mapping[str, float]) -> None:
        self.logger.log_metrics({f"train/{name}": value for name, value in values.items()}, step)
        self.logger.save()  # a kill must not take what the logger has not written

    def sweep(self, sweep: Sweep) -> None:
        for line, rows in sweep.lines().items():
            for row in rows:
                numbers = {f"sweep/{line}/{name}": float(row[name]) for name in sweep.measured}
                self.logger.log_metrics(numbers, step_of(row))
        best = {f"best/{c}": float(sweep.best[c]) for c in sweep.columns if isinstance(sweep.best[c], int | float)}
        self.logger.log_metrics(best, 0)
        self.logger.save()

    def finish(self) -> None:
        self.logger.finalize("success")
