"""A field of the config, with the values that its metadata allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

Only = Mapping[str, Sequence[Any]]


def one_of(default: Any, *allowed: Any) -> Any:
    return field(default=default, metadata={"allowed": allowed})


def at_least(default: Any, low: float) -> Any:
    return field(default=default, metadata={"low": low})


def above(default: Any, low: float, high: float | None = None, only: Only | None = None) -> Any:
    """Greater than `low`. `only` {field: values}: a field of the same choice that must have one of these for it to count."""
    bounds = {"above": low, **({} if high is None else {"high": high}), **({} if only is None else {"only": only})}
    return field(default=default, metadata=bounds)


def between(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def listed(*default: Any, **bounds: float) -> Any:
    """`low` and `high` are of each."""
    return field(default_factory=lambda: list(default), metadata=bounds)


def any_of(*allowed: Any) -> Any:
    """A list, empty unless asked for, of some of these."""
    return field(default_factory=list, metadata={"each": allowed})


def only(default: Any, where: Only) -> Any:
    """A key that counts where the other fields of `where` have one of these values."""
    return field(default=default, metadata={"only": where})


def chosen(group: str, name: str) -> Any:
    """A choice of a group, this one unless asked for another."""
    from .registry import named

    return field(default_factory=lambda: named(group, name)(), metadata={"group": group})


def chosen_list(group: str, *names: str) -> Any:
    """A list of choices of a group, these unless asked for others."""
    from .registry import named

    return field(
        default_factory=lambda: [named(group, name)() for name in names], metadata={"group": group, "many": True}
    )
