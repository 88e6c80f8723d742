"""All mirrors of a run together: what is logged goes to each of them, and a mirror that fails does not stop the run (law 6)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from .base import Mirror, ShowsPages, Sweep, TrackedRun, Tracker

log = logging.getLogger(__name__)


class Mirrors:
    """The mirrors that the config names and that could be opened. A mirror that fails is removed with a warning, and the run
    continues."""

    def __init__(self, trackers: Iterable[Tracker], run: TrackedRun) -> None:
        self.open: dict[str, Mirror] = {}
        for tracker in trackers:
            name = tracker.title or tracker.kind
            try:
                self.open[name] = tracker.open(run)
            except Exception as e:
                log.warning("no %s mirror at all (%s): the run's own record is whole", name, type(e).__name__)

    def train(self, step: int, values: Mapping[str, float]) -> None:
        self._each(lambda mirror: mirror.train(step, values))

    def sweep(self, sweep: Sweep) -> None:
        self._each(lambda mirror: mirror.sweep(sweep))

    def page(self, name: str, path: Path) -> None:
        """Tell of a page: those trackers show it that can."""
        self._each(lambda mirror: mirror.page(name, path) if isinstance(mirror, ShowsPages) else None)

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
