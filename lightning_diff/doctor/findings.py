"""Finding, the result of one check of the doctor; and Patient, the run that is checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..config.schema import Config
from .costs import Costs

OK, WARNING, WRONG = "ok", "warning", "wrong"


@dataclass(frozen=True)
class Finding:
    """The result of a check. `level` is ok, warning (it will run, but not well) or wrong (it will not run); a warning and a
    wrong have a remedy."""

    what: str
    level: str
    found: str
    remedy: str = ""


@dataclass
class Patient:
    """A run before it is started. `scratch` is a folder beside the outputs that the doctor deletes at the end. `rate` is the
    measured speed of writing there, in bytes per second; 0 before it is measured."""

    config: Config
    folder: Path
    scratch: Path
    rate: float = field(default=0.0)

    @cached_property
    def costs(self) -> Costs:
        return Costs(self.config)


Check = Callable[[Patient], Finding]


def number(name: str) -> int | None:
    """The number that an environment variable holds; None if it holds none."""
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else None


def size(count: float) -> str:
    """A number of bytes as text for a reader."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


def existing(place: Path) -> Path:
    """The folder, or the nearest folder above it that exists."""
    place = place.absolute()
    return next(p for p in (place, *place.parents) if p.is_dir())
