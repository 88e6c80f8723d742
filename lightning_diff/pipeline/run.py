"""A run's folder: its config, its record, its console, its mirrors."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.logging import RichHandler

from ..cluster.requeue import hand_back, job_id, set_alarm
from ..cluster.signals import STOP, Interrupted
from ..cluster.slurm import claim
from ..config.compose import stored_config
from ..config.errors import ConfigError
from ..config.schema import Config
from ..files import Held, lock, write_text
from ..ranks import console, first_rank, rank_of
from ..tracking.mirrors import Mirrors, open_mirrors
from ..tracking.record import Record

# What may differ when the same folder is trained on: where it runs and what is done afterwards.
FREE = ("outputs", "cache", "name", "part_steps", "init_from", "pins", "sampler", "guidance", "evaluation", "tracking")
FREE_TRAINING = (
    "accelerator",
    "devices",
    "nodes",
    "strategy",
    "workers",
    "log_every",
    "checkpoint_every",
    "compile",
    "profile",
    "skip_at_most",
    "patience",
)


class Run:
    """Claims the folder for this config, until the end of a `with`. Raises ConfigError if it holds a run of another one, or
    if another process is at it (`wait`: waits for that one, if this process is the run's only rank)."""

    def __init__(self, config: Config, folder: Path, job: str = "train", wait: bool = False) -> None:
        self.config, self.folder, self.job = config, folder, job
        logging.basicConfig(level=logging.WARNING, handlers=[RichHandler(console=console, show_path=False)], force=True)
        STOP.install()
        if first_rank():
            set_alarm()  # the others are told: SLURM need not be asked by each of them
            try:
                self._lock = lock(folder / "lock", wait and rank_of()[1] == 1)
            except Held as e:
                raise ConfigError(f"{folder}: in use by {e}; wait for it, stop it, or give another name=") from None
        refuse_another(folder, config)
        path = folder / "config.yaml"
        if not path.is_file() and first_rank():
            write_text(path, OmegaConf.to_yaml(OmegaConf.structured(config)))
        if first_rank() and (slurm_job := job_id()):
            claim(folder, slurm_job)
        self.record = Record(folder)
        self._mirrors: Mirrors | None = None

    @property
    def mirror(self) -> Mirrors:
        """Opened when first used: W&B takes seconds to start."""
        if self._mirrors is None:
            self._mirrors = open_mirrors(self.config, self.folder, self.job, first_rank())
        return self._mirrors

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """The job goes back into its queue before the mirrors are flushed, which may take longer than SLURM grants."""
        if isinstance(error, Interrupted):
            hand_back(error)
        if self._mirrors is not None:
            self._mirrors.finish()
        if first_rank():
            self._lock.close()


def refuse_another(folder: Path, config: Config) -> None:
    """Raises ConfigError if the folder holds a run of another config."""
    path = folder / "config.yaml"
    if path.is_file():
        _compare(asdict(stored_config(path)), asdict(config), folder)


def _compare(old: dict[str, Any], new: dict[str, Any], folder: Path, prefix: str = "") -> None:
    for key, value in new.items():
        name = f"{prefix}{key}"
        if name in FREE or (prefix == "training." and key in FREE_TRAINING):
            continue
        if isinstance(value, dict):
            _compare(old[key], value, folder, name + ".")
        elif old[key] != value:
            raise ConfigError(
                f"{name}={value}: {folder} holds a run with {name}={old[key]}; give this one another name=, "
                "or delete the folder"
            )
