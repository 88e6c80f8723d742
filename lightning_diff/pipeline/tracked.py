"""The description of a run that its trackers get before it begins."""

from __future__ import annotations

from pathlib import Path

from ..config.convert import plain
from ..config.schema import Config
from ..tracking.base import TrackedRun


def tracked_run(config: Config, folder: Path, job: str) -> TrackedRun:
    """The description of a run for its trackers. `job` is train or evaluate."""
    t = config.tracking
    return TrackedRun(folder, job, plain(config), t.project, t.entity, t.group, tags(config))


def tags(config: Config) -> list[str]:
    """The tags of the config, then tags to filter runs by: task, data, parameterisation and guider."""
    own = [config.task, config.data.kind]
    if config.task == "diffusion":
        own += [config.objective.prediction, config.guidance.kind]
    return list(dict.fromkeys([*config.tracking.tags, *own]))
