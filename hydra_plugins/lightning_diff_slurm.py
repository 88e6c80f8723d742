"""The plugin for hydra/launcher=slurm. Hydra looks for launchers only in this package; the code is in cli/launcher.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from lightning_diff.config.schema import Slurm


class SlurmLauncher(Launcher):
    """Submits each run of a multirun as a SLURM job."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Slurm(**settings)
        self.swept: list[str] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Find out which keys are swept. A job is a command, so it needs no state of this process."""
        from lightning_diff.cli.multirun import swept_by

        self.swept = swept_by(config.hydra, list(config.hydra.overrides.task))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from lightning_diff.cli.launcher import launch

        launch(self.settings, job_overrides, self.swept)
        return [JobReturn(overrides=words, status=JobStatus.COMPLETED) for words in job_overrides]
