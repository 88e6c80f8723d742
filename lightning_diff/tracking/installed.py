"""Whether the trackers that were asked for can be had, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from ..config.errors import ConfigError
from .base import Tracker


def check_installed(trackers: Iterable[Tracker]) -> None:
    """Raises ConfigError for a tracker whose package is not there. Asked by the commands that track: a run folder can be
    sampled from without it."""
    for tracker in trackers:
        missing = [p for p in tracker.packages if (spec := find_spec(p)) is None or spec.origin is None]
        if missing:
            raise ConfigError(
                f"tracking by {tracker.kind}: {', '.join(missing)} not installed; pip install {tracker.install}, "
                "or leave it out"
            )
