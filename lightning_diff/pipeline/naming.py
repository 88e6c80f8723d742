"""The name of a run: the same command names the same folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..config.schema import Config

LONGEST = 150  # letters of a run's name: file systems allow 255, and the names of figures and reports begin with it
# Overrides that are not part of a run's name: they say where it is stored and where it runs, not what it computes.
PLACE = (
    *("experiment=", "name=", "tracking", "outputs=", "cache=", "pins=", "plugins="),
    *(f"training.{key}=" for key in ("accelerator", "devices", "nodes", "strategy", "workers")),
)


def group_name(config: Config, overrides: Sequence[str]) -> str:
    """The group of a run for its trackers, shared by the runs of a multirun: name=, else the experiment, else the task."""
    experiment = next((o.split("=", 1)[1] for o in overrides if o.startswith("experiment=")), config.task)
    return config.name or experiment


def run_name(config: Config, overrides: Sequence[str]) -> str:
    """The name of a run: name= from the command, or a name made from the overrides."""
    words = [o for o in overrides if not o.startswith(PLACE)]
    name = group_name(config, overrides)
    if config.name and any(o.startswith("name=") for o in overrides):
        return name
    safe = ["".join(c if c.isalnum() or c in "=.,-_" else "_" for c in w.lstrip("+~")) for w in words]
    full = "-".join([name, *safe])
    if len(full) <= LONGEST:
        return full
    mark = hashlib.sha256(full.encode()).hexdigest()[:8]  # tells runs apart that differ only after the cut
    return f"{full[: LONGEST - 9]}-{mark}"
