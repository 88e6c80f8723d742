"""Whether a folder holds the run of a config: some keys may change when a run is continued, all others may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config.compose import stored_config
from ..config.convert import plain, yaml_text
from ..config.errors import ConfigError
from ..config.schema import Config
from ..files import write_text
from .steps import Change, change_of

# Keys that may change when a run is continued: they say where it runs, and what is done after the training.
FREE = (
    *("version", "outputs", "cache", "name", "part_steps", "init_from", "pins", "plugins"),
    *("sampler", "guidance", "validation", "evaluation", "tracking"),
)
FREE_TRAINING = (
    "accelerator",
    "devices",
    "nodes",
    "strategy",
    "workers",
    "log_every",
    "checkpoint_every",
    "compile",
    "profile",
    "skip_at_most",
    "patience",
)


def refuse_another(folder: Path, config: Config, train: bool = False) -> Change | None:
    """Raises ConfigError if the folder holds a run of another config. A training may ask for another number of steps: then
    returns the change."""
    for name, old, new in _differences(folder, config):
        if train and name == "training.steps":
            continue
        raise ConfigError(
            f"{name}={new}: {folder} holds a run with {name}={old}; give this one another name=, or delete the folder"
        )
    return change_of(folder, config) if train else None


def keep_config(config: Config, folder: Path) -> None:
    """Write the config into the run's folder, if there is none yet."""
    path = folder / "config.yaml"
    if not path.is_file():
        write_text(path, yaml_text(plain(config)))


def another_run(folder: Path, config: Config) -> str:
    """The first key whose other value says that the folder holds another run; empty if it holds this one. A folder whose config
    cannot be read is refused later."""
    try:
        return next((name for name, _, _ in _differences(folder, config)), "")
    except ConfigError:
        return ""


def _differences(folder: Path, config: Config) -> Iterator[tuple[str, Any, Any]]:
    path = folder / "config.yaml"
    if path.is_file():
        yield from _compare(plain(stored_config(path)), plain(config))


def _compare(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, old value, new value) of what differs and may not change."""
    for key, value in new.items():
        name = f"{prefix}{key}"
        if name in FREE or (prefix == "training." and key in FREE_TRAINING):
            continue
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            yield from _compare(old[key], value, name + ".")
        elif old.get(key) != value:
            yield name, old.get(key), value
