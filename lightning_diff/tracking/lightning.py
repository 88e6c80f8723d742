"""Any logger of Lightning as a mirror: Comet, Neptune, Aim, trackio and the like need no code of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .base import Sweep

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


class LightningLogger:
    """Tells a `pytorch_lightning.loggers.Logger` of the run. A tracker's `open(run)` returns it, around a logger that it
    makes: `LightningLogger(CometLogger(project=run.project, name=run.name), run.config)`.

    It gets the config once, the training's numbers at their steps, a sweep's at step 100 w, and the best row's."""

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
                self.logger.log_metrics(numbers, round(100 * row["scale"]))
        best = {f"best/{c}": float(sweep.best[c]) for c in sweep.columns if isinstance(sweep.best[c], int | float)}
        self.logger.log_metrics(best, 0)
        self.logger.save()

    def finish(self) -> None:
        self.logger.finalize("success")
