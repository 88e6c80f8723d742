"""How far a run is: by its lock, its weights and its record."""

from __future__ import annotations

import re
from pathlib import Path

from ..config.compose import stored_config
from ..config.paths import WEIGHTS
from ..config.schema import Config
from ..locks import holder
from ..tracking.record import Record


def is_finished(config: Config, folder: Path) -> bool:
    """Whether the same command would do nothing: the weights and all asked measurements are there."""
    if (
        not (folder / WEIGHTS).is_file()
        or stored_config(folder / "config.yaml").training.steps != config.training.steps
    ):
        return False
    if not config.generates or not config.evaluation.enabled:
        return True
    record = Record(folder)
    measured = {row["scale"] for row in record.read("sweep")}
    return set(config.guidance.scales) <= measured and bool(record.read("best")) and (folder / "report.html").is_file()


def state_of(folder: Path, config: Config, step: int, measured: bool) -> str:
    """The state of a run in words. `step` is the last one in its record; `measured` says whether it has rows of a sweep.

    This process must not hold the run's lock: reading a lock's holder would release it."""
    if held := holder(folder / "lock"):
        found = re.match(r"process (\d+) on (\S+)", held)
        return f"running, pid {found[1]} on {found[2].rstrip(',')}" if found else "running"
    if (folder / WEIGHTS).is_file():
        asked = config.generates and config.evaluation.enabled
        return "done" if measured or not asked else "trained, not measured"
    if measured:
        return "measured"  # somebody else's model
    return f"stopped at {step:,} of {config.training.steps:,}" if step else "stopped before step 1"
