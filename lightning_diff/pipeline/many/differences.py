"""What differs between runs: the keys of their configs that tell them apart, a label for each run, and the runs of one seed.

Only keys that change results count. Names, places and hardware do not."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ...config.compose import stored_config
from ...config.convert import plain
from ...config.schema import Config

SAME = ("version", "name", "outputs", "cache", "pins", "plugins", "tracking", "cluster")  # keys that change no result
SAME_TRAINING = (
    *("accelerator", "devices", "nodes", "strategy", "workers", "log_every", "checkpoint_every", "compile"),
    *("profile", "skip_at_most", "patience", "checkpointing", "keep_every", "accept_new_data"),
)
MEASURED = ("sampler", "guidance", "evaluation")  # what is done after the training: each row's passport holds it
ALONE = ("training", "")  # groups without presets: each of their keys is chosen by itself
LONGEST = 24  # letters of a value in a label
MOST = 4  # keys in a label: runs that differ in more are told apart by their names
Values = dict[str, Any]  # dotted key -> plain value


def flat_values(values: Mapping[str, Any], prefix: str = "") -> Values:
    """Nested values with dotted keys. A list stays one value."""
    found: Values = {}
    for key, value in values.items():
        found |= flat_values(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


@cache
def _read(path: Path, changed: int) -> Config:
    """A run's config. It is cached as long as its file stays the same."""
    return stored_config(path)


def config_of(folder: Path) -> Config:
    """The stored config of a run. Raises ConfigError."""
    path = folder / "config.yaml"
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


def all_values(folder: Path) -> Values:
    """All keys of a run's stored config."""
    return flat_values(plain(config_of(folder)))


def _counts(key: str) -> bool:
    group, _, rest = key.partition(".")
    return group not in SAME and key != "evaluation.batch" and not (group == "training" and rest in SAME_TRAINING)


def training_values(folder: Path) -> Values:
    """The keys that determine a training, without its seed."""
    values = all_values(folder)
    return {k: v for k, v in values.items() if _counts(k) and k != "seed" and k.split(".")[0] not in MEASURED}


def differing(runs: Sequence[Values], seed: bool = True) -> list[str]:
    """The keys that tell these runs apart, in the order of the config; the seed is the last one. A preset such as objective=v
    sets several keys: of the keys of one group that divide the runs in the same way, only the first is taken."""
    keys = [key for key in dict.fromkeys(k for values in runs for k in values) if _counts(key)]
    keys = [*(key for key in keys if key != "seed"), *(["seed"] if seed else [])]
    found, divided = [], set[Hashable]()
    for key in keys:
        values = [_hashable(values.get(key)) for values in runs]
        first: dict[str, int] = {}
        division = tuple(first.setdefault(value, len(first)) for value in values)
        group = key.rpartition(".")[0].split(".")[0]
        if len(first) == 1 or (group not in ALONE and (group, division) in divided):
            continue
        divided.add((group, division))
        found.append(key)
    return found


def _hashable(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Each key with its name in a table: its last word if no other key of the table ends with it; sampler.kind is sampler."""
    last = {key: key.removesuffix(".kind").rpartition(".")[2] for key in keys}
    words = list(last.values())
    return {key: word if words.count(word) == 1 else key for key, word in last.items()}


def short_value(value: Any, key: str = "") -> str:
    """A value as a table shows it. Of a long path only the end is shown."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | dict):
        text = ",".join(short_value(part) for part in (value if isinstance(value, list) else value.values()))
    else:
        text = str(value)
    return text if len(text) <= LONGEST else f"…{text[1 - LONGEST :]}"


def labels_of(folders: Sequence[Path]) -> dict[Path, str]:
    """A label for each run, made of the keys that differ: "prediction=v, seed=1". Runs that no key tells apart have their
    folder's name in their label; runs that many keys tell apart have it alone."""
    values, names = [all_values(folder) for folder in folders], names_of(folders)
    keys = differing(values)
    if len(folders) == 1 or len(keys) > MOST:
        return names
    found = _labels(values, keys)
    many = [label for label in found if found.count(label) > 1 or not label]
    return {
        folder: (f"{label} ({names[folder]})" if label else names[folder]) if label in many else label
        for folder, label in zip(folders, found, strict=True)
    }


def names_of(folders: Sequence[Path]) -> dict[Path, str]:
    """The name of each run: that of its folder, or its path if two folders have the same name."""
    names = [folder.name for folder in folders]
    return {folder: folder.name if names.count(folder.name) == 1 else str(folder) for folder in folders}


def _labels(runs: Sequence[Values], keys: Sequence[str]) -> list[str]:
    names = short_keys(keys)
    return [", ".join(f"{names[k]}={short_value(values[k])}" for k in keys if k in values) for values in runs]


def differing_words(folders: Sequence[Path]) -> str:
    """The names of what differs: "prediction and seed"; empty if nothing does, or too much to be said."""
    names = list(short_keys(differing([all_values(folder) for folder in folders])).values())
    if len(names) > MOST:
        return ""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def seeds_of(folders: Sequence[Path]) -> dict[str, dict[int, list[Path]]]:
    """The trainings that differ in their seed alone: the label of each such group -> seed -> its runs."""
    groups: dict[str, tuple[Values, dict[int, list[Path]]]] = {}
    for folder in folders:
        values = training_values(folder)
        _, seeds = groups.setdefault(_hashable(values), (values, {}))
        seeds.setdefault(config_of(folder).seed, []).append(folder)
    runs = [values for values, _ in groups.values()]
    keys = differing(runs, seed=False)
    firsts = [next(iter(seeds.values()))[0].name for _, seeds in groups.values()]
    found = _labels(runs, keys) if len(keys) <= MOST else firsts
    return {
        label if found.count(label) == 1 else f"{label} #{i + 1}": seeds
        for i, (label, (_, seeds)) in enumerate(zip(found, groups.values(), strict=True))
    }
