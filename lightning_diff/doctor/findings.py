"""What the doctor finds, and what its checks know of a run."""

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
    """`level` is ok, warning (it will run, but not as it should) or wrong (it will not); what is not ok has a remedy."""

    what: str
    level: str
    found: str
    remedy: str = ""


@dataclass
class Patient:
    """A run before it is started. `scratch` is a folder beside the outputs that is gone afterwards; `rate` is what was
    written there, bytes a second, once that has been measured."""

    config: Config
    folder: Path
    scratch: Path
    rate: float = field(default=0.0)

    @cached_property
    def costs(self) -> Costs:
        return Costs(self.config)


Check = Callable[[Patient], Finding]


def number(name: str) -> int | None:
    """Of an environment variable, where it holds one."""
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else None


def size(count: float) -> str:
    """Bytes, for a reader."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


def existing(place: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    place = place.absolute()
    return next(p for p in (place, *place.parents) if p.is_dir())
