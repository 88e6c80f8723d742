"""A composed or stored config as typed objects, and back to plain values."""

from __future__ import annotations

import copy
import os
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .checks import check, keys
from .errors import ConfigError, nearest
from .messages import one_line
from .registry import Choice, choices, named, owners, place_of, schema_of
from .schema import Config

PATHS = ("outputs", "cache", "init_from", "source", "weights", "lpips_weights", "guide")


def to_config(node: DictConfig) -> Config:
    """The config, with nothing left over, every value of its type, and checked. Raises ConfigError."""
    config = unchecked(node)
    check(config)
    return config


def unchecked(node: DictConfig) -> Config:
    """The config, with nothing left over and every value of its type. Raises ConfigError."""
    node = copy.deepcopy(node)
    OmegaConf.resolve(node)
    config = _object(Config, node, "")
    assert isinstance(config, Config)
    _at_home(config)
    return config


def plain(config: Any) -> dict[str, Any]:
    """Of a config or of a part of it: what a file can hold."""
    return asdict(config)


def make_choice(group: str, node: Any, prefix: str) -> Choice:
    """The choice that a table of its kind and keys describes, or its name alone. Raises ConfigError."""
    if isinstance(node, str):
        return named(group, node, prefix)()
    if not OmegaConf.is_dict(node):
        raise ConfigError(f"{prefix}={node}: must name a choice; {nearest(str(node), sorted(choices(group)))}")
    kind, composed = node.get("kind"), OmegaConf.get_type(node)
    if composed not in (None, dict) and (usual := composed().kind) != kind:
        raise ConfigError(f"{prefix}.kind={kind}: this table is that of {usual}; choose with {prefix}={kind}")
    cls = named(group, kind, prefix)
    own = [f.name for f in fields(cls)]
    for key in map(str, node):
        if key not in own:
            others = [f"{place_of(group)}={name}" for name in owners(group, key)]
            hint = f"{' or '.join(others)} has it" if others else nearest(key, own)
            raise ConfigError(f"{prefix}.{key}: no key of {place_of(group)}={kind}; {hint}")
    return cls(**_values(cls, node, prefix + "."))


def _object(cls: type, node: DictConfig, prefix: str) -> Any:
    """A dataclass of the schema, from a node that may hold it in part."""
    known = {f.name: f for f in fields(cls)}
    made: dict[str, Any] = {}
    for key in map(str, node):
        name = f"{prefix}{key}"
        if key not in known:
            raise ConfigError(f"{name}: no such key; {nearest(name, sorted(keys(Config())))}")
        if OmegaConf.is_missing(node, key):
            raise ConfigError(f"{name}=???: say what it is")
        f = known[key]
        if group := f.metadata.get("group"):
            many = f.metadata.get("many")
            made[key] = (
                [make_choice(group, part, f"{name}[{i}]") for i, part in enumerate(node[key])]
                if many
                else make_choice(group, node[key], name)
            )
        elif is_dataclass(f.default_factory):
            made[key] = _object(f.default_factory, node[key], f"{name}.")  # type: ignore[arg-type]
    rest = [key for key in map(str, node) if key not in made]
    return cls(**made, **_values(cls, OmegaConf.masked_copy(node, rest), prefix))


def _values(cls: type, node: Any, prefix: str) -> dict[str, Any]:
    """The plain keys that a node sets, each of the type that the schema says."""
    OmegaConf.set_struct(node, False)
    try:
        typed: Any = OmegaConf.merge(OmegaConf.structured(schema_of(cls)), node)
        made = OmegaConf.to_object(typed)
    except OmegaConfBaseException as e:
        raise ConfigError(one_line(e, prefix)) from e
    return {str(key): getattr(made, str(key)) for key in node}


def _at_home(node: Any) -> None:
    """~ is the user's home: a shell leaves it alone in data.source=~/pictures. Only in what is a path."""
    for f in fields(node):
        value = getattr(node, f.name)
        if isinstance(value, str) and value.startswith("~") and f.name in PATHS:
            object.__setattr__(node, f.name, os.path.expanduser(value))  # a choice is frozen for everybody else
        for part in value if isinstance(value, list) else [value]:
            if is_dataclass(part):
                _at_home(part)
