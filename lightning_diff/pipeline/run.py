"""The folder of a run, with its lock, config, record and trackers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rich.logging import RichHandler

from ..cluster.requeue import hand_back, job_id, set_alarm
from ..cluster.signals import STOP, Interrupted
from ..cluster.slurm import claim
from ..config.compose import stored_config
from ..config.convert import plain, yaml_text
from ..config.errors import ConfigError
from ..config.schema import Config
from ..files import Held, lock, write_text
from ..ranks import console, first_rank, rank_of
from ..tracking.mirrors import Mirrors
from ..tracking.record import Record
from .origin import EVENT, this_command
from .tracked import tracked_run

# Keys that may change when a run is continued: they say where it runs, and what is done after the training.
FREE = (
    *("version", "outputs", "cache", "name", "part_steps", "init_from", "pins", "plugins"),
    *("sampler", "guidance", "evaluation", "tracking"),
)
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
    """Locks a folder for the run of this config, until the end of a `with`.

    Raises ConfigError if the folder holds a run of another config, or if another process uses it. With `wait` it waits for
    that process instead, if this process is the run's only rank."""

    def __init__(self, config: Config, folder: Path, job: str = "train", wait: bool = False) -> None:
        self.config, self.folder, self.job = config, folder, job
        logging.basicConfig(level=logging.WARNING, handlers=[RichHandler(console=console, show_path=False)], force=True)
        STOP.install()
        if first_rank():
            set_alarm()  # the other ranks are told, so only this one asks SLURM
            try:
                self._lock = lock(folder / "lock", wait and rank_of()[1] == 1)
            except Held as e:
                raise ConfigError(f"{folder}: in use by {e}; wait for it, stop it, or give another name=") from None
        refuse_another(folder, config)
        path = folder / "config.yaml"
        if not path.is_file() and first_rank():
            write_text(path, yaml_text(plain(config)))
        if first_rank() and (slurm_job := job_id()):
            claim(folder, slurm_job)
        self.record = Record(folder)
        if first_rank():
            self.record.write(EVENT, **this_command())
        self._mirrors: Mirrors | None = None

    @property
    def mirror(self) -> Mirrors:
        """The trackers. They are opened at the first use, because W&B takes seconds to start."""
        if self._mirrors is None:
            trackers = self.config.tracking.trackers if first_rank() else []
            self._mirrors = Mirrors(trackers, tracked_run(self.config, self.folder, self.job))
        return self._mirrors

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """Requeue an interrupted job first, then close the trackers: flushing them may take longer than SLURM allows."""
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
        _compare(plain(stored_config(path)), plain(config), folder)


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
