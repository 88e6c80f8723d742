"""Check of what a config may make Hydra import and call (law 8): its own plugins, installed ones, this project's launcher.

Anything else is refused before it is imported, whatever folder the config comes from.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ..config.errors import ConfigError

PLUGINS = ("hydra._internal.core_plugins.", "hydra_plugins.")
OURS = {  # keys of Hydra whose values are fixed by conf/config.yaml
    "hydra.run.dir": ".",
    "hydra.sweep.dir": "${outputs}",
    "hydra.sweep.subdir": ".",
    "hydra.job.chdir": False,
}
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


def refuse_useless(config: DictConfig) -> None:
    """Raises ConfigError if a file sets one of Hydra's keys that would have no effect here."""
    for key, ours in OURS.items():
        value = OmegaConf.to_container(config)
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value != ours and value is not None:
            hint = "outputs and name say where a run lies; a main config begins with defaults: [config, _self_]"
            raise ConfigError(f"{key}={value}: would have no effect; {hint}")


def guard_hydra() -> None:
    """Make Hydra check every config that it composes, before it uses the config."""
    load = ConfigLoaderImpl.load_configuration
    if hasattr(load, "__wrapped__"):
        return

    @functools.wraps(load)
    def looked_at(*arguments: Any, **options: Any) -> DictConfig:
        config = load(*arguments, **options)
        refuse_others(config)
        if (
            "outputs" in config and "LOCAL_RANK" not in os.environ
        ):  # Lightning sets these keys for the ranks that it starts
            refuse_useless(config)
            # Hydra composes each run of a multirun alone, and tells it so by an override
            asked = options.get("run_mode") == RunMode.MULTIRUN or "hydra.mode=MULTIRUN" in options.get("overrides", ())
            if config.hydra.mode == RunMode.MULTIRUN and not asked:
                raise ConfigError("hydra.mode=MULTIRUN: would have no effect; give -m on the command line")
        return config

    ConfigLoaderImpl.load_configuration = looked_at  # type: ignore[method-assign]
