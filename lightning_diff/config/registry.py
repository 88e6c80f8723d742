"""The registry of choices: the alternatives for one place of the config, as in `sampler: ddim`.

A choice is one frozen dataclass in the file of its code. Its fields are its keys with their bounds. Its docstring says what
it is and gives its source. Its `conflicts` says what it cannot be combined with. The schema, the allowed words, the errors
and the help are made from it. The folder of a group holds this project's own choices; a plugin adds more with `choice`.

This file and the files of choices do not import torch at module level, so a config can be composed and refused without it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_type_hints

from .errors import ConfigError, nearest
from .texts.values import nearest_value

# Group of choices -> the package that holds this project's own choices.
GROUPS = {
    "data": "lightning_diff.data.sources",
    "autoencoder": "lightning_diff.nets.autoencoders",
    "text": "lightning_diff.models.text_encoders",
    "net": "lightning_diff.nets.denoisers",
    "sampler": "lightning_diff.diffusion.samplers",
    "guidance": "lightning_diff.diffusion.guiders",
    "features": "lightning_diff.evaluation.extractors",
    "metric": "lightning_diff.evaluation.metrics",
    "tracker": "lightning_diff.tracking.trackers",
    "callback": "lightning_diff.training.plugged",
}

# In these groups a preset (experiment=, debug=) may set a key that only some choices have. If the choice does not have the
# key, it is ignored. If a command names such a key, it is refused.
SHARED = ("data",)

# Group -> Hydra's path, for a group whose choice is not under the group's own name in the config.
PLACES = {"features": "evaluation/features"}

C = TypeVar("C", bound="Choice")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Base class of all choices: the name in the config, and where the code comes from."""

    kind: str = ""
    group: ClassVar[str] = ""
    install: ClassVar[str] = ""  # what to install with pip if its packages are missing
    plugin: ClassVar[str] = ""  # hash of the file of its plugin; empty for this project's own choices

    # Yields a message for each setting that this choice cannot be combined with. The parameters are named after the groups
    # that it needs to see: `def conflicts(self, objective)`.
    conflicts: ClassVar[Callable[..., Iterator[str]]] = lambda self: iter(())

    @property
    def packages(self) -> Sequence[str]:
        """The packages that it imports but that this project does not depend on."""
        return ()


_known: dict[str, dict[str, type[Choice]]] = {}
_plugin = ""  # hash of the plugin file that is being loaded


@contextmanager
def registering(plugin: str) -> Iterator[None]:
    """A context for loading a plugin: each choice that it registers gets the hash of its file. If the plugin was loaded
    before and has changed, its new choices replace the old ones."""
    global _plugin
    _plugin = plugin
    try:
        yield
    finally:
        _plugin = ""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def choice(group: str, name: str) -> Callable[[type[C]], type[C]]:
    """Register a class as the choice `name` of a group, and make it a frozen dataclass.

    Raises ConfigError for an unknown group, and for a name that another choice has."""

    def register(cls: type[C]) -> type[C]:
        if group not in GROUPS:
            raise ConfigError(f"{cls.__name__}: no group {group!r}; {nearest(group, list(GROUPS))}")
        cls.__annotations__ = {"kind": "str", **inspect.get_annotations(cls)}
        own = cls.__module__.startswith(f"{GROUPS[group]}.")  # also where a plugin is the first to import it
        cls.kind, cls.group, cls.plugin = name, group, "" if own else _plugin
        made = dataclass(frozen=True, kw_only=True)(cls)
        if not own and _plugin:
            _load(group)  # this project's own choices first: a plugin cannot take their names
        found = _known.setdefault(group, {}).get(name, made)
        if found.__module__ != made.__module__:
            raise ConfigError(f"{group}={name}: {found.__module__} and {made.__module__} both register it; rename one")
        _known[group][name] = made
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
    return dict(sorted(_known[group].items()))


def named(group: str, name: Any, where: str = "") -> type[Choice]:
    """The choice with that name. `where` is the key to name in the error. Raises ConfigError."""
    known = choices(group)
    if name not in known:
        hint = nearest_value(place_of(group), str(name), sorted(known), plugins=True)
        raise ConfigError(f"{where or place_of(group)}={name}: no such choice; {hint}")
    return known[name]


def place_of(group: str) -> str:
    """Hydra's path of a group, as it is written in an override."""
    return PLACES.get(group, group)


def group_at(place: str) -> str | None:
    """The group of choices at a path of the config (with slashes or dots); None if there is none."""
    return next((g for g in GROUPS if place_of(g) == place.replace(".", "/")), None)


@cache
def schema_of(cls: Any) -> Any:
    """A copy of a config dataclass for Hydra to merge overrides into: not frozen, and a choice's field takes any value."""
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
    """Yield the conflicts of a choice. Its `conflicts` receives the attributes of `others` that its parameters name."""
    asked = inspect.signature(made.conflicts).parameters
    yield from made.conflicts(**{name: getattr(others, name) for name in asked})


def plugins_entry(made: Iterable[Choice]) -> dict[str, dict[str, str]]:
    """The passport entry {"plugins": {group=kind: hash of the plugin's file}}; empty if no choice comes from a plugin."""
    found = {f"{one.group}={one.kind}": one.plugin for one in made if one.plugin}
    return {"plugins": found} if found else {}


def owners(group: str, key: str) -> list[str]:
    """The choices of a group that have this key."""
    return sorted(name for name, cls in choices(group).items() if key in {f.name for f in fields(cls)})
