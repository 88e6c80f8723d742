"""From a command's words to a checked Config, and Hydra's errors as one line each."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..checks import check, keys, nearest
from ..config import Config, ConfigError, Reader
from ..ignored import check_words
from .slurm import Slurm

CONF = Path(__file__).resolve().parents[2] / "conf"
PACKAGE_FOLDER = CONF.parent
SHIPPED = Path(__file__).resolve().parents[1] / "weights"
PATHS = ("outputs", "cache", "init_from", "source", "weights", "lpips_weights", "features_weights", "guide")
WEIGHTS = "weights.safetensors"  # of a finished run, in its folder


def register_schema() -> None:
    """Each group's file is checked against its dataclass as it is composed."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    store.store(group="hydra/launcher", name="slurm", node=Slurm)


def one_line(error: BaseException) -> str:
    """What a configuration error of Hydra or OmegaConf says, in one line with the nearest word that would do."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    text = "\n".join(str(e) for e in chain)
    if found := re.search(r"full_key: (\S+)", text):
        key = found.group(1)
        first = next((str(e).splitlines()[0] for e in chain if "full_key" in str(e)), "")
        if re.search(r"Key '.*' (is )?not in", text):
            known = [f"hydra.launcher.{f.name}" for f in fields(Slurm)] if key.startswith("hydra.launcher.") else []
            return f"{key}: no such key; {nearest(key, known or [*keys(Config()), *keys(Reader())])}"
        return f"{key}: {first}"
    if found := re.search(r"Could not override '([^']+)'", text):
        return f"{found.group(1)}: no such key; {nearest(found.group(1), list(keys(Config())))}"
    if found := re.search(r"Could not find '([^']+)'", text):
        group, _, name = found.group(1).rpartition("/")
        known = sorted(p.stem for p in (CONF / group).glob("*.yaml"))
        return f"{group}={name}: no such file in conf/{group}; {nearest(name, known)}"
    if found := re.search(r"Could not load '([^']+)'|Cannot find primary config '([^']+)'", text):
        return f"{found.group(1) or found.group(2)}: no such config"
    return " ".join(str(error).split())


def to_config(node: DictConfig) -> Config:
    """A composed config as the dataclass, with nothing left over. Raises ConfigError."""
    known = set(keys(Config()))

    def walk(n: Any, prefix: str) -> None:
        for key in n:
            name = f"{prefix}{key}"
            if name not in known:
                raise ConfigError(f"{name}: no such key; {nearest(name, sorted(known))}")
            if OmegaConf.is_missing(n, key):
                raise ConfigError(f"{name}=???: say what it is")
            if OmegaConf.is_dict(n[key]):
                walk(n[key], name + ".")

    walk(node, "")
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), node))
    assert isinstance(config, Config)
    _at_home(config)
    check(config)
    return config


def _at_home(node: Any) -> None:
    """~ is the user's home: a shell leaves it alone in data.source=~/pictures. Only in what is a path."""
    for f in fields(node):
        value = getattr(node, f.name)
        if isinstance(value, str) and value.startswith("~") and f.name in PATHS:
            setattr(node, f.name, os.path.expanduser(value))
        for part in value if isinstance(value, list) else [value]:
            if is_dataclass(part):
                _at_home(part)


def compose_config(overrides: Sequence[str]) -> Config:
    """The config of `train.py OVERRIDES`. Raises ConfigError."""
    register_schema()
    try:
        if GlobalHydra.instance().is_initialized():
            config = to_config(compose("config", list(overrides)))
        else:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                config = to_config(compose("config", list(overrides)))
    except (HydraException, OmegaConfBaseException) as e:
        raise ConfigError(one_line(e)) from e
    except ValueError as e:
        if found := wrong_word(overrides, e):
            raise found from e
        raise
    check_words(config, overrides)
    return config


def wrong_word(overrides: Sequence[str], error: ValueError) -> ConfigError | None:
    """Hydra's ValueError for a group of conf/ that was given something that is no name, as training=5, or for a key within
    a list, as a ConfigError that says which; None for any other error."""
    groups = {p.name for p in CONF.iterdir() if p.is_dir()}
    known = set(keys(Config()))
    for o in OverridesParser.create().parse_overrides([w for w in overrides if not w.startswith("-") and "=" in w]):
        key, above = o.key_or_group, o.key_or_group.rpartition(".")[0]
        if "Config group override" in str(error):
            if not isinstance(o.value(), str | list) and (key in groups or not key):
                return ConfigError(f"{o.input_line}: {key} is a group; name one of its files in conf/")
        elif key not in known and above in known:
            return ConfigError(f"{key}: no such key; give all of {above}=[...]")
    return None


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """A run's stored config with overrides on top: `key=value`, or `group=name` for a file of conf/. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; run= names a run folder, for example run=outputs/base")
    try:
        node: Any = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path))
        groups = {f.name for f in fields(Config)}
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            key, value = override.key_or_group, override.value()
            file = CONF / key / f"{value}.yaml"
            if key in groups and OmegaConf.is_dict(node[key]):
                if not file.is_file():
                    known = sorted(p.stem for p in (CONF / key).glob("*.yaml"))
                    raise ConfigError(f"{key}={value}: no such file in conf/{key}; {nearest(str(value), known)}")
                node = OmegaConf.merge(node, {key: OmegaConf.load(file)})
            elif key not in set(keys(Config())):
                raise ConfigError(f"{key}: no such key; {nearest(key, list(keys(Config())))}")
            else:
                OmegaConf.update(node, key, value)
        assert isinstance(node, DictConfig)
        return to_config(node)
    except (HydraException, OmegaConfBaseException) as e:
        raise ConfigError(one_line(e)) from e
