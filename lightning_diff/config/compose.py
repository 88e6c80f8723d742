"""Compose a checked Config from a command's overrides, and turn Hydra's errors into one line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .checks import keys, single_groups
from .convert import plain, to_config, unchecked
from .errors import ConfigError
from .foreign.own_words import own_words
from .ignored import check_words
from .input.files import read_file
from .input.messages import CIRCLE, one_line, wrong_word
from .input.search import SEARCH
from .input.stored import stored_values
from .plugins import load_plugins
from .registry import SHARED, choices, group_at, place_of, schema_of
from .schema import Config, Slurm
from .texts.suggest import suggest


def register_schema() -> None:
    """Register the dataclass of each group with Hydra, which then checks the group's file when it composes."""
    store = ConfigStore.instance()
    store.store(name="schema", node=schema_of(Config))
    store.store(group="hydra/launcher", name="slurm", node=Slurm)
    for group in single_groups(Config()):
        for name, cls in choices(group).items():
            node = OmegaConf.structured(schema_of(cls), flags={"struct": False} if group in SHARED else None)  # type: ignore[arg-type]
            store.store(group=place_of(group), name=name, node=node)


@cache
def usual_values() -> dict[str, Any]:
    """The plain values of a command without words."""
    with SEARCH.composing():
        register_schema()
        return plain(unchecked(compose("config")))


def compose_config(overrides: Sequence[str], name: str = "config") -> Config:
    """The checked config of `train.py OVERRIDES`; `name` is the main config. Raises ConfigError."""
    node = compose_node(overrides, name)
    try:
        config = to_config(node)
    except OmegaConfBaseException as e:
        raise ConfigError(one_line(e)) from e
    check_words(config, overrides)
    return config


def compose_node(overrides: Sequence[str], name: str = "config") -> DictConfig:
    """The config of `train.py OVERRIDES` as Hydra composes it, with own_words; not checked. Raises ConfigError."""
    load_plugins(overrides)
    register_schema()
    try:
        with SEARCH.composing():
            node = compose(name, list(overrides))
            added = own_words(node, overrides)
            return compose(name, [*overrides, *added]) if added else node
    except (HydraException, OmegaConfBaseException) as e:
        raise ConfigError(one_line(e)) from e
    except RecursionError as e:
        raise ConfigError(CIRCLE) from e
    except ValueError as e:
        if found := wrong_word(overrides, e):
            raise found from e
        raise


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """A run's stored config, changed by overrides: `key=value`, or `group=name` for a choice or a file of conf/. Their order does
    not matter: groups come first.

    Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; run= names a run folder, for example run=outputs/base")
    try:
        load_plugins(overrides)
        node: Any = OmegaConf.create(stored_values(path))
        known = set(keys(Config()))
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        groups = sorted(
            (one for one in parsed if _is_choice(one.key_or_group)), key=lambda one: one.key_or_group.count("/")
        )
        for override in [*groups, *(one for one in parsed if not _is_choice(one.key_or_group))]:
            key, value = override.key_or_group, override.value()
            where = key.replace("/", ".")
            if override.is_delete():
                raise ConfigError(f"{override.input_line}: a run's config has a value for each key; give another one")
            if _is_choice(key):
                if not isinstance(value, str):
                    raise ConfigError(f"{key}={value}: {key} is a group; name one of its choices")
                said = _group(key, value)
                OmegaConf.update(node, where, said, merge=group_at(key) is None)
                for name in [n for n in said if group_at(f"{where}.{n}")]:  # a nested choice replaces the old one
                    OmegaConf.update(node, f"{where}.{name}", said[name], merge=False)
            elif where not in known and not _in_choice(where, node):
                raise ConfigError(f"{key}: no such key; {suggest(key)}")
            else:
                OmegaConf.update(node, key, value)
        return to_config(node)
    except (HydraException, OmegaConfBaseException) as e:
        raise ConfigError(one_line(e)) from e


def _is_choice(key: str) -> bool:
    """Whether an override with this key names a choice or a file of conf/."""
    return "/" in key or is_dataclass(getattr(Config(), key, None))


def stored_config(path: Path) -> Config:
    """A run's stored config, not checked: the files that it names may no longer exist. Raises ConfigError."""
    return unchecked(OmegaConf.create(stored_values(path)))  # type: ignore[arg-type]


def _group(group: str, name: str) -> Any:
    """What `group=name` sets: all keys of a choice, or the keys of a file of conf/ if the group has no choices."""
    file = SEARCH.file(group, name)
    if group_at(group) is None and file is not None:
        said: Any = OmegaConf.to_container(read_file(file, group)[0])
        for entry in said.pop("defaults", []):
            for nested, choice in entry.items():
                said[nested] = _group(f"{group}/{nested}", choice)
        return said
    register_schema()
    place = group.replace("/", ".")
    with SEARCH.composing():
        node = compose("config", [f"{group}={name}"])
    return OmegaConf.create(OmegaConf.to_container(OmegaConf.select(node, place)))


def _in_choice(key: str, node: Any) -> bool:
    """Whether a key lies inside a choice. If the choice has no such key, it is refused later, when the choice is made."""
    above = OmegaConf.select(node, key.rpartition(".")[0]) if "." in key else None
    return isinstance(above, DictConfig) and "kind" in above
