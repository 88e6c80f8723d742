"""The folder of a run, with its lock, config, record and trackers."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.logging import RichHandler

from ..cluster.requeue import hand_back, job_id, set_alarm
from ..cluster.signals import STOP, Interrupted
from ..cluster.slurm import claim
from ..config.errors import ConfigError
from ..config.paths import PARTS, WEIGHTS
from ..config.schema import Config
from ..locks import Held, lock
from ..ranks import console, first_rank, rank_of, say, wait_for
from ..tracking.mirrors import Mirrors
from ..tracking.record import Record
from .continuing.same import keep_config, refuse_another
from .continuing.steps import change_of, change_steps
from .origin import EVENT, this_command
from .tracked import tracked_run


class Run:
    """Locks a folder for the run of this config, until the end of a `with`.

    Raises ConfigError if the folder holds a run of another config, or if another process uses it. With `wait` it waits for
    that process instead, if this process is the run's only rank. `given`: run= named the folder, so
    that name= gives no other."""

    def __init__(
        self, config: Config, folder: Path, job: str = "train", wait: bool = False, given: bool = False
    ) -> None:
        self.config, self.folder, self.job = config, folder, job
        logging.basicConfig(level=logging.WARNING, handlers=[RichHandler(console=console, show_path=False)], force=True)
        STOP.install()
        if first_rank():
            set_alarm()  # the other ranks are told, so only this one asks SLURM
            try:
                self._lock = lock(folder / "lock", wait and rank_of()[1] == 1)
            except Held as e:
                remedy = "wait for it, or stop it" if given else "wait for it, stop it, or give another name="
                raise ConfigError(f"{folder}: in use by {e}; {remedy}") from None
            except (FileNotFoundError, NotADirectoryError, FileExistsError) as e:
                raise ConfigError(f"outputs={config.outputs}: no folder can be made there ({e.strerror})") from None
        self._new = not (folder / "config.yaml").exists()
        change = refuse_another(folder, config, job == "train", given)
        self.record = Record(folder)
        if first_rank():
            if any((folder / left).exists() for left in ("checkpoints", WEIGHTS)) and not self.record.path.exists():
                say(f"{self.record.path}: gone, and with it the losses and the history of this run; a new one begins")
            if change:
                change_steps(change, folder, self.record)
                say(f"{folder.name}: {change.old} steps become {change.new}; it goes on from step {change.step}")
            keep_config(config, folder)
            if slurm_job := job_id():
                claim(folder, slurm_job)
            self.record.write(EVENT, **this_command())
        if change and not first_rank():
            patience = config.training.patience
            wait_for(lambda: not change_of(folder, config), patience, f"prepared {folder} for its new end")
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
            if self._new and isinstance(error, ConfigError):
                self._leave_nothing()
            self._lock.close()

    def _leave_nothing(self) -> None:
        """A run that was refused before its first step leaves no folder behind. The parts in it are copies."""
        places = {self.folder / name for name in ("config.yaml", "record.jsonl", "lock", PARTS)}
        with suppress(OSError):  # another process came in
            if {*self.folder.iterdir()} <= places and not self.record.curve():
                shutil.rmtree(self.folder / PARTS, ignore_errors=True)
                for file in places - {self.folder / PARTS}:
                    file.unlink(missing_ok=True)
                self.folder.rmdir()
