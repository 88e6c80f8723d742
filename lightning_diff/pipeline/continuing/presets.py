"""A run that an older version began goes on with its own recipe, though today's presets have another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ...config.compose import stored_config
from ...config.errors import ConfigError
from ...config.input.stored import stored_values
from ...config.input.versions import MEANT
from ...config.schema import Config
from ...config.texts.areas import key_of
from ...ranks import say

NEW = "optimizer"  # a key of `training` that configs have since the presets' recipe changed for the first time
RECIPE = ("optimizer", "muon_rate", "learning_rate", "schedule", "steps", "batch", "warmup", "weight_decay", "ema")


def as_begun(config: Config, folder: Path, words: Sequence[str]) -> Config:
    """The config, with the folder's values for what the command's `words` do not name of the recipe (keys of `training`, the
    objective's shift and its end, the net, the set's size), if an older version wrote the folder's config. Else the config
    itself. A folder whose config cannot be read is refused later."""
    path = folder / "config.yaml"
    said = {key_of(word) for word in words}
    if not path.is_file():
        return config
    try:
        values, had = stored_values(path), stored_config(path)
    except ConfigError:
        return config
    first = NEW not in values.get("training", {NEW: ""})
    # Before the presets' shift fell, it was 1, with the net `small`, and then 3.
    shift_named = bool(said & {"objective", "objective.shift_end"})
    older_shift = had.objective.shift_end is None is not config.objective.shift_end and not shift_named
    meant = MEANT["net"].get(had.net.kind, {})  # what the net was before it had these keys
    net_named = any(key.partition(".")[0] == "net" for key in said)
    older_net = not net_named and any(
        getattr(had.net, key) == then != getattr(config.net, key, then) for key, then in meant.items()
    )
    # A set of the size that no preset named: experiment=base drew so many pictures before it named fewer.
    size, usual = getattr(had.data, "train", None), getattr(type(had.data), "train", None)
    older_data = size == usual != getattr(config.data, "train", usual) and not said & {"data", "data.train"}
    if not first and not older_shift and not older_net and not older_data:
        return config
    listed, changed = [], config
    if "training" not in said:
        then, now = asdict(had.training), asdict(config.training)
        own = {key: then[key] for key in RECIPE if f"training.{key}" not in said and then[key] != now[key]}
        changed = replace(changed, training=replace(config.training, **own))
        listed += [f"training.{key}={value}" for key, value in own.items()]
    if older_shift:
        shift = config.objective.shift if "objective.shift" in said else had.objective.shift
        changed = replace(changed, objective=replace(config.objective, shift=shift, shift_end=None))
        listed += [f"objective.shift={shift:g}", "objective.shift_end=null"]
    if older_data:
        changed = replace(changed, data=replace(config.data, train=size))  # type: ignore[call-arg]
        listed.append(f"data.train={size}")
    if had.net != config.net and not net_named:
        changed = replace(changed, net=had.net)
        listed.append(f"net={had.net.kind}")
    if not listed:
        return config
    say(f"{folder}: an older version began this run; it goes on with its own {', '.join(listed)}")
    return changed
