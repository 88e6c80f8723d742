"""Choices: what can stand in one place of the config, as `sampler: ddim`.

A choice is one frozen dataclass in the file of its code: its fields are its keys with their bounds, its docstring says what
it is and where it is from, `conflicts` says what it is not allowed with. The schema, the allowed words, the refusals and the
help derive from it. The files of a group's folder are this project's own choices; a plugin adds others with `choice` too.

Nothing here, and no file of a choice, imports torch when it is imported: a config is composed and refused without it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_type_hints

from .errors import ConfigError, nearest

# The groups of choices, each with the folder of this project's own.
GROUPS = {
    "sampler": "lightning_diff.diffusion.samplers",
    "guidance": "lightning_diff.diffusion.guiders",
    "features": "lightning_diff.evaluation.extractors",
    "metric": "lightning_diff.evaluation.metrics",
}

# Hydra's path of a group whose choice does not stand under the group's own name in the config.
PLACES = {"features": "evaluation/features"}

C = TypeVar("C", bound="Choice")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What all choices have: the name that the config knows them by, and where their code is from."""

    kind: str = ""
    group: ClassVar[str] = ""
    plugin: ClassVar[str] = ""  # the hash of the plugin's file that it came with; empty for this project's own

    # Messages for what this choice is not allowed with. The parameters are named after the groups that it looks at:
    # `def conflicts(self, objective)`.
    conflicts: ClassVar[Callable[..., Iterator[str]]] = lambda self: iter(())


_known: dict[str, dict[str, type[Choice]]] = {}
_plugin = ""  # the hash of the file that is being loaded


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def choice(group: str, name: str) -> Callable[[type[C]], type[C]]:
    """Register a class as the choice `name` of a group, and make it a frozen dataclass.

    Raises ConfigError for an unknown group, and for a name that another choice has."""

    def register(cls: type[C]) -> type[C]:
        if group not in GROUPS:
            raise ConfigError(f"{cls.__name__}: no group {group!r}; {nearest(group, list(GROUPS))}")
        cls.__annotations__ = {"kind": "str", **inspect.get_annotations(cls)}
        cls.kind, cls.group, cls.plugin = name, group, _plugin
        made = dataclass(frozen=True, kw_only=True)(cls)
        found = _known.setdefault(group, {}).setdefault(name, made)
        if found.__qualname__ != made.__qualname__ or found.__module__ != made.__module__:
            raise ConfigError(f"{group}={name}: {found.__module__} and {made.__module__} both register it; rename one")
        return made

    return register


@cache
def _load(group: str) -> None:
    package = importlib.import_module(GROUPS[group])
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def choices(group: str) -> dict[str, type[Choice]]:
    """All choices of a group by their names, this project's own and those of loaded plugins."""
    _load(group)
    return _known[group]


def named(group: str, name: Any, where: str = "") -> type[Choice]:
    """The choice of that name, asked for at the key `where`. Raises ConfigError."""
    known = choices(group)
    if name not in known:
        raise ConfigError(f"{where or place_of(group)}={name}: no such choice; {nearest(str(name), sorted(known))}")
    return known[name]


def place_of(group: str) -> str:
    """Hydra's path of a group: what a command's words call it."""
    return PLACES.get(group, group)


def group_at(place: str) -> str | None:
    """The group of choices at that path of the config, with slashes or dots; None if there is none."""
    return next((g for g in GROUPS if place_of(g) == place.replace(".", "/")), None)


@cache
def schema_of(cls: Any) -> Any:
    """A dataclass of the config as Hydra can merge a command's words into it: not frozen, and open where a choice stands."""
    if not is_dataclass(cls):
        raise TypeError(f"{cls} is not a dataclass")
    hints, described = get_type_hints(cls), []
    for f in fields(cls):
        default: Any = field(default=f.default)
        if f.metadata.get("many"):
            names = [made.kind for made in f.default_factory()]  # type: ignore[operator]
            default = field(default_factory=names.copy)
        elif "group" in f.metadata:
            default = field(default=None)
        elif is_dataclass(f.default_factory):
            hints[f.name] = schema_of(f.default_factory)
            default = field(default_factory=hints[f.name])
        elif f.default_factory is not MISSING:
            default = field(default_factory=f.default_factory)
        described.append((f.name, hints[f.name], default))
    return make_dataclass(str(cls.__name__), described)  # type: ignore[union-attr]


def conflicts(made: Choice, others: Any) -> Iterator[str]:
    """What a choice is not allowed with, among the attributes of `others` that its `conflicts` asks for by name."""
    asked = inspect.signature(made.conflicts).parameters
    yield from made.conflicts(**{name: getattr(others, name) for name in asked})


def plugins_entry(made: Iterable[Choice]) -> dict[str, dict[str, str]]:
    """A passport's entry {"plugins": {group=kind: the hash of the plugin's file}}; nothing if no choice came with one."""
    found = {f"{one.group}={one.kind}": one.plugin for one in made if one.plugin}
    return {"plugins": found} if found else {}


def owners(group: str, key: str) -> list[str]:
    """The choices of a group that have this key."""
    return [name for name, cls in choices(group).items() if key in {f.name for f in fields(cls)}]
