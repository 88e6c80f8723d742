"""The name of a run: the same command names the same folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..config.schema import Config

LONGEST = 150  # of a run's name: file systems allow 255, and figures and reports are named after it
# Overrides that say where a run is kept and where it runs, not what it is: the same run on other ranks has the same name.
PLACE = (
    *("experiment=", "name=", "tracking", "outputs=", "cache=", "pins=", "plugins="),
    *(f"training.{key}=" for key in ("accelerator", "devices", "nodes", "strategy", "workers")),
)


def group_name(config: Config, overrides: Sequence[str]) -> str:
    """What the jobs of a multirun have in common."""
    experiment = next((o.split("=", 1)[1] for o in overrides if o.startswith("experiment=")), config.task)
    return config.name or experiment


def run_name(config: Config, overrides: Sequence[str]) -> str:
    """The name given, or one that follows from the overrides: the same command names the same folder."""
    words = [o for o in overrides if not o.startswith(PLACE)]
    name = group_name(config, overrides)
    if config.name and any(o.startswith("name=") for o in overrides):
        return name
    safe = ["".join(c if c.isalnum() or c in "=.,-_" else "_" for c in w.lstrip("+~")) for w in words]
    whole = "-".join([name, *safe])
    if len(whole) <= LONGEST:
        return whole
    mark = hashlib.sha256(whole.encode()).hexdigest()[:8]  # else runs that differ in their last words share a folder
    return f"{whole[: LONGEST - 9]}-{mark}"
