"""A run that an older version began goes on with its own recipe, though today's presets have another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ...config.compose import stored_config
from ...config.errors import ConfigError
from ...config.schema import Config
from ...config.texts.areas import key_of
from ...ranks import say

RECIPE = ("optimizer", "muon_rate", "learning_rate", "schedule", "steps", "batch", "warmup", "weight_decay", "ema")
# What presets choose, and may choose anew: group -> its keys (none: all of them, and the kind).
CHOSEN: dict[str, tuple[str, ...]] = {"training": RECIPE, "objective": (), "net": (), "text": (), "data": ("train",)}


def as_begun(config: Config, folder: Path, words: Sequence[str]) -> Config:
    """The config, with the folder's values for what presets choose and the command's `words` do not name, if the presets were
    others when the folder's run began (`version`). Else the config itself. A folder whose config cannot be read is refused
    later."""
    path = folder / "config.yaml"
    if not path.is_file():
        return config
    try:
        had = stored_config(path)
    except ConfigError:
        return config
    if had.version >= config.version:
        return config
    said = {key_of(word) for word in words}
    own: dict[str, Any] = {}
    changed = config
    for group, keys in CHOSEN.items():
        then, now = getattr(had, group), getattr(config, group)
        if group in said or then == now:
            continue
        if type(then) is type(now):
            kept = {
                key: getattr(then, key)
                for key in keys or [f.name for f in fields(now)]
                if hasattr(now, key) and getattr(then, key) != getattr(now, key) and f"{group}.{key}" not in said
            }
            changed = replace(changed, **{group: replace(now, **kept)})
            own.update({f"{group}.{key}": value for key, value in kept.items()})
        elif not keys and not any(key.startswith(f"{group}.") for key in said):
            changed = replace(changed, **{group: then})
            own[group] = then.kind
    if not own:
        return config
    listed = ", ".join(f"{key}={'null' if value is None else value}" for key, value in own.items())
    say(f"{folder}: an older version began this run; it goes on with its own {listed}")
    return changed
