"""Check of what a config may make Hydra import and call (law 8): its own plugins, installed ones, this project's launcher.

Anything else is refused before it is imported, whatever folder the config comes from.
"""

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
    """Yield every (key, value) that names a Python object: Hydra uses `_target_`, logging uses the other keys."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        name = f"{place}.{key}".lstrip(".")
        logs = "_logging" in place and (key in ("class", "()") or (isinstance(value, str) and "://" in value))
        if key == "_target_" or logs:
            yield name, value
        yield from targets(value, name)


def refuse_others(config: DictConfig) -> None:
    """Raises ConfigError for a target that is not allowed. An interpolation is refused too, because its value is unknown."""
    for name, value in targets(OmegaConf.to_container(config)):
        allowed = str(value).startswith(PLUGINS) if name.endswith("_target_") else value in LOGGING
        if not allowed:
            raise ConfigError(f"{name}={value}: nothing is imported or called because a config names it; leave it out")


def guard_hydra() -> None:
    """Make Hydra check the targets of every config that it composes, before it uses the config."""
    load = ConfigLoaderImpl.load_configuration
    if hasattr(load, "__wrapped__"):
        return

    @functools.wraps(load)
    def looked_at(*arguments: Any, **options: Any) -> DictConfig:
        config = load(*arguments, **options)
        refuse_others(config)
        return config

    ConfigLoaderImpl.load_configuration = looked_at  # type: ignore[method-assign]
