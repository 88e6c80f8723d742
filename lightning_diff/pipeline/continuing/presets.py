"""A run that an older version began goes on with its own training recipe, though today's presets have another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ...config.compose import stored_config
from ...config.errors import ConfigError
from ...config.input.stored import stored_values
from ...config.schema import Config
from ...config.texts.areas import key_of
from ...ranks import say

NEW = "optimizer"  # a key of `training` that configs have since the presets' recipe changed
RECIPE = ("optimizer", "muon_rate", "learning_rate", "schedule", "steps", "batch", "warmup", "weight_decay", "ema")


def as_begun(config: Config, folder: Path, words: Sequence[str]) -> Config:
    """The config, with the folder's values for the keys of the recipe that the command's `words` do not name, if an older version
    wrote the folder's config. Else the config itself. A folder whose config cannot be read is refused later."""
    path = folder / "config.yaml"
    said = {key_of(word) for word in words}
    if not path.is_file() or "training" in said:
        return config
    try:
        if NEW in stored_values(path).get("training", {NEW: ""}):
            return config
        had = asdict(stored_config(path).training)
    except ConfigError:
        return config
    now = asdict(config.training)
    own = {key: had[key] for key in RECIPE if f"training.{key}" not in said and had[key] != now[key]}
    if not own:
        return config
    listed = ", ".join(f"training.{key}={value}" for key, value in own.items())
    say(f"{folder}: an older version began this run; it goes on with its own {listed}")
    return replace(config, training=replace(config.training, **own))
