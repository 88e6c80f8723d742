"""A field of the config, with the values that its metadata allows."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def one_of(default: Any, *allowed: Any) -> Any:
    return field(default=default, metadata={"allowed": allowed})


def at_least(default: Any, low: float) -> Any:
    return field(default=default, metadata={"low": low})


def between(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def listed(*default: Any, **bounds: float) -> Any:
    """`low` and `high` are of each."""
    return field(default_factory=lambda: list(default), metadata=bounds)


def any_of(*allowed: Any) -> Any:
    """A list, empty unless asked for, of some of these."""
    return field(default_factory=list, metadata={"each": allowed})
