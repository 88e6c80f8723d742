"""Fields of the config dataclasses. Their metadata says which values are allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

Only = Mapping[str, Sequence[Any]]


def one_of(default: Any, *allowed: Any) -> Any:
    return field(default=default, metadata={"allowed": allowed})


def at_least(default: Any, low: float, only: Only | None = None) -> Any:
    """A number that is at least `low`. `only` works as in `above`."""
    return field(default=default, metadata={"low": low, **({} if only is None else {"only": only})})


def above(default: Any, low: float, high: float | None = None, only: Only | None = None) -> Any:
    """A number greater than `low` and at most `high`.

    `only` {field: values}: the key has an effect only if this field of the same choice has one of these values."""
    bounds = {"above": low, **({} if high is None else {"high": high}), **({} if only is None else {"only": only})}
    return field(default=default, metadata=bounds)


def share(default: Any, of: str, above_zero: bool = False, only: Only | None = None) -> Any:
    """A share of `of`: a number from 0 to 1, without 0 if `above_zero`. `only` works as in `above`."""
    bounds = {("above" if above_zero else "low"): 0, "high": 1, "share": of}
    return field(default=default, metadata={**bounds, **({} if only is None else {"only": only})})


def between(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def paths() -> Any:
    """A list of paths, empty by default."""
    return field(default_factory=list, metadata={"path": True})


def listed(*default: Any, **bounds: float) -> Any:
    """A list of values. `low` and `high` bound each of them."""
    return field(default_factory=lambda: list(default), metadata=bounds)


def only(default: Any, where: Only) -> Any:
    """A key that has an effect only if each field in `where` has one of its values there."""
    return field(default=default, metadata={"only": where})


def path(default: str | None = "", run: bool = False) -> Any:
    """The path of a file or folder. It is taken as typed, and ~ is the home. `run`: the folder or name of a run stands for
    the run's weights."""
    return field(default=default, metadata={"path": True, "run": run})


def chosen(group: str, name: str) -> Any:
    """A choice of a group; `name` is the default."""
    from .registry import named

    return field(default_factory=lambda: named(group, name)(), metadata={"group": group})


def chosen_list(group: str, *names: str) -> Any:
    """A list of choices of a group; `names` are the default."""
    from .registry import named

    return field(default_factory=lambda: [named(group, n)() for n in names], metadata={"group": group, "many": True})
