"""What Hydra may import and call because a config says so (law 8): its own plugins, installed ones, this project's launcher.
Anything else in a config, from whatever folder it came, is refused before it is looked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from ..config.errors import ConfigError

PLUGINS = ("hydra._internal.core_plugins.", "hydra_plugins.")
LOGGING = (
    "logging.StreamHandler",
    "logging.FileHandler",
    "ext://sys.stdout",
    "ext://sys.stderr",
)


def targets(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every (key, value) that names something of Python's: `_target_` is Hydra's word for it, the others are logging's."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        name = f"{place}.{key}".lstrip(".")
        logs = "_logging" in place and (key in ("class", "()") or (isinstance(value, str) and "://" in value))
        if key == "_target_" or logs:
            yield name, value
        yield from targets(value, name)


def refuse_others(config: DictConfig) -> None:
    """Raises ConfigError. Interpolations are not resolved: what they would become is not known, so they are refused."""
    for name, value in targets(OmegaConf.to_container(config)):
        allowed = str(value).startswith(PLUGINS) if name.endswith("_target_") else value in LOGGING
        if not allowed:
            raise ConfigError(f"{name}={value}: nothing is imported or called because a config names it; leave it out")


def guard_hydra() -> None:
    """Every config that Hydra composes is looked at, before Hydra makes anything of it."""
    load = ConfigLoaderImpl.load_configuration
    if hasattr(load, "__wrapped__"):
        return

    @functools.wraps(load)
    def looked_at(*arguments: Any, **options: Any) -> DictConfig:
        config = load(*arguments, **options)
        refuse_others(config)
        return config

    ConfigLoaderImpl.load_configuration = looked_at  # type: ignore[method-assign]
