"""What trackers are told of a run before it begins."""

from __future__ import annotations

from pathlib import Path

from ..config.convert import plain
from ..config.schema import Config
from ..tracking.base import TrackedRun


def tracked_run(config: Config, folder: Path, job: str) -> TrackedRun:
    """`job` is train or evaluate."""
    t = config.tracking
    return TrackedRun(folder, job, plain(config), t.project, t.entity, t.group, tags(config))


def tags(config: Config) -> list[str]:
    """Those asked for, then what a run is filtered by."""
    own = [config.task, config.data.kind]
    if config.task == "diffusion":
        own += [config.objective.prediction, config.guidance.kind]
    return list(dict.fromkeys([*config.tracking.tags, *own]))
