"""Convert a composed or stored config to typed objects, and back to plain values."""

from __future__ import annotations

import copy
import difflib
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .checks import check
from .errors import ConfigError, meant, nearest
from .input.messages import one_line
from .input.stored import with_sum
from .input.typed import final, hide_all, nodes, revealed
from .plugins import check_plugins
from .registry import SHARED, Choice, choices, named, owners, place_of, schema_of
from .schema import Config
from .texts.suggest import suggest


def to_config(node: DictConfig) -> Config:
    """The typed and checked config. Raises ConfigError for an unknown key, a wrong type or a value that is not allowed."""
    config = unchecked(node)
    check(config)
    return config


def unchecked(node: DictConfig) -> Config:
    """The typed config, not checked. Raises ConfigError for an unknown key or a wrong type."""
    if plugins := [str(name) for name in node.get("plugins") or []]:
        check_plugins(plugins)  # first: the config may name choices that plugins add
    node = copy.deepcopy(node)
    OmegaConf.to_container(node, resolve=True)  # its error names the key, the error of resolve does not
    OmegaConf.resolve(node)
    config = _object(Config, node, "")
    assert isinstance(config, Config)
    _finish(config)
    return config


def plain(config: Any) -> dict[str, Any]:
    """A config, or a group of it, as plain values that a file can hold."""
    return asdict(config)


def yaml_text(values: Any) -> str:
    """Plain values as YAML, as OmegaConf writes it. A ${ in them is literal."""
    return revealed(OmegaConf.to_yaml(OmegaConf.create(hide_all(values))))


def stored_text(config: Config) -> str:
    """The text of a run's config.yaml. The cluster around the command that began the run is no part of it."""
    values = plain(config)
    del values["cluster"]
    return with_sum(yaml_text(values))


def make_choice(group: str, node: Any, prefix: str) -> Choice:
    """The choice that a node describes: a name, or a table with the kind and the keys. Raises ConfigError."""
    if isinstance(node, str):
        return named(group, node, prefix)()
    if not OmegaConf.is_dict(node):
        raise ConfigError(f"{prefix}={node}: must name a choice; {nearest(str(node), sorted(choices(group)))}")
    kind = node.get("kind")
    if kind is None:
        raise ConfigError(
            f"{prefix}.kind: say which choice of {group} it is, one of {', '.join(sorted(choices(group)))}"
        )
    composed: Any = OmegaConf.get_type(node)
    from_conf = composed not in (None, dict)  # Hydra composed it: a preset of conf/ may have set keys
    if from_conf and (usual := composed().kind) != kind:
        raise ConfigError(f"{prefix}.kind={kind}: this table is that of {usual}; choose with {prefix}={kind}")
    cls, known = named(group, kind, prefix), []
    own = [f.name for f in fields(cls)]
    for key in map(str, node):
        if key in own:
            known.append(key)
        elif not (from_conf and group in SHARED and owners(group, key)):
            others = [f"{place_of(group)}={name}" for name in owners(group, key)]
            close = difflib.get_close_matches(key, own, n=1, cutoff=0.6)
            hint = f"{' or '.join(others)} has it" if others else meant(close) if close else suggest(key)
            raise ConfigError(f"{prefix}.{key}: no key of {place_of(group)}={kind}; {hint}")
    return _object(cls, OmegaConf.masked_copy(node, known), prefix + ".")


def _object(cls: type, node: DictConfig, prefix: str) -> Any:
    """A dataclass of the schema, made from a node that may hold only some of its keys."""
    known = {f.name: f for f in fields(cls)}
    made: dict[str, Any] = {}
    for key in map(str, node):
        name = f"{prefix}{key}"
        if key not in known:
            raise ConfigError(f"{name}: no such key; {suggest(name)}")
        if OmegaConf.is_missing(node, key):
            raise ConfigError(f"{name}=???: say what it is")
        f = known[key]
        if group := f.metadata.get("group"):
            if not f.metadata.get("many"):
                made[key] = make_choice(group, node[key], name)
            elif OmegaConf.is_list(node[key]):
                made[key] = [make_choice(group, part, f"{name}[{i}]") for i, part in enumerate(node[key])]
            else:
                raise ConfigError(
                    f"{name}={node[key]}: must be a list of choices, for example [{sorted(choices(group))[0]}]"
                )
        elif is_dataclass(f.default_factory):
            made[key] = _object(f.default_factory, node[key], f"{name}.")  # type: ignore[arg-type]
    rest = [key for key in map(str, node) if key not in made]
    return cls(**made, **_values(cls, OmegaConf.masked_copy(node, rest), prefix))


def _values(cls: type, node: Any, prefix: str) -> dict[str, Any]:
    """The plain keys that a node sets, each converted to its type in the schema."""
    OmegaConf.set_struct(node, False)
    try:
        typed: Any = OmegaConf.merge(OmegaConf.structured(schema_of(cls)), node)
        made = OmegaConf.to_object(typed)
    except OmegaConfBaseException as e:
        raise ConfigError(one_line(e, prefix)) from e
    return {str(key): getattr(made, str(key)) for key in node}


def _finish(config: Config) -> None:
    """Give each text its final value: what was hidden from OmegaConf comes back, ~ becomes the home."""
    for node in nodes(config):
        for f in fields(node):
            value = getattr(node, f.name)
            if (now := final(value, f, config.outputs)) != value:
                object.__setattr__(node, f.name, now)  # a choice is frozen
