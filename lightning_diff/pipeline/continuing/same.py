"""Whether a folder holds the run of a config: some keys may change when a run is continued, all others may not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...config.compose import stored_config
from ...config.convert import plain, stored_text
from ...config.errors import ConfigError
from ...config.schema import Config
from ...files import sha256, write_text
from .steps import Change, change_of

# Keys that may change when a run is continued: they say where it runs, and what is done after the training.
FREE = (
    *("version", "outputs", "cache", "name", "part_steps", "pins", "plugins"),
    *("sampler", "guidance", "validation", "evaluation", "tracking", "cluster"),
)
FREE_TRAINING = (
    "accelerator",
    "devices",
    "nodes",
    "strategy",
    "workers",
    "log_every",
    "checkpoint_every",
    "keep_every",
    "accept_new_data",
    "compile",
    "profile",
    "skip_at_most",
    "patience",
)


def refuse_another(folder: Path, config: Config, train: bool = False, given: bool = False) -> Change | None:
    """Raises ConfigError if the folder holds a run of another config. A training may ask for another number of steps: then
    returns the change. `given`: run= named the folder."""
    for name, old, new in _differences(folder, config):
        if train and name == "training.steps":
            continue
        remedy = "give this one another name=, or delete the folder"
        remedy = "leave it out: a run is measured as it was trained" if given else remedy
        raise ConfigError(f"{name}={new}: {folder} holds a run with {name}={old}; {remedy}")
    return change_of(folder, config) if train else None


def keep_config(config: Config, folder: Path) -> None:
    """Write the config into the run's folder, if there is none yet."""
    path = folder / "config.yaml"
    if not path.is_file():
        write_text(path, stored_text(config))


def another_key(folder: Path, config: Config, free: Sequence[str]) -> str:
    """The first key, besides the `free` ones, whose value is not that of the folder's run; empty if there is none."""
    return next((name for name, _, _ in _differences(folder, config) if name not in free), "")


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
        elif old.get(key) != value and not (name == "init_from" and _same_file(old.get(key), value)):
            yield name, old.get(key), value


def _same_file(old: str | None, new: str | None) -> bool:
    """Whether two paths lead to the same weights, now that one of them may be gone."""
    if not old or not new:
        return not old and not new
    one, two = Path(old), Path(new)
    return one.resolve() == two.resolve() or (one.is_file() and two.is_file() and sha256(one) == sha256(two))


def fixed_values(config: Config, steps: bool = False) -> dict[str, Any]:
    """The plain values that may not change when a run is continued; with `steps` their number too."""
    values = {key: value for key, value in plain(config).items() if key not in (*FREE, "init_from")}
    free = FREE_TRAINING if steps else (*FREE_TRAINING, "steps")
    values["training"] = {key: value for key, value in values["training"].items() if key not in free}
    fixed: dict[str, Any] = json.loads(json.dumps(values))
    return fixed
