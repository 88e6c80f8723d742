"""Errors of Hydra and OmegaConf as one line each, with the most similar word that is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import PurePath

from hydra.core.override_parser.overrides_parser import OverridesParser

from ..checks import keys
from ..errors import ConfigError, nearest
from ..paths import CONF
from ..registry import GROUPS, choices, group_at, owners, place_of
from ..schema import Config, Slurm
from ..texts.suggest import suggest
from ..texts.values import nearest_value
from .search import SEARCH
from .values import wrong_value


def one_line(error: BaseException, prefix: str = "") -> str:
    """The message of a Hydra or OmegaConf error in one line, with the most similar word that is allowed."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    text = "\n".join(str(e) for e in chain)
    if found := re.search(r"full_key: (\S+)", text):
        key = prefix + found.group(1)
        lines = [line for e in chain if "full_key" in str(e) for line in str(e).splitlines()]
        first = next((line for line in lines if not line.startswith("In '")), "")
        if re.search(r"Key '.*' (is )?not in", text):
            if (whole := re.search(r"Could not override '([^']+)'", text)) and whole[1].startswith(f"{key}."):
                key = whole[1]  # all of what was typed: its last part says which key was meant
            known = [f"hydra.launcher.{f.name}" for f in fields(Slurm)] if key.startswith("hydra.launcher.") else []
            if key in known:
                return f"{key}: no such key; hydra/launcher=slurm has it"
            return f"{key}: no such key; {nearest(key, known) if known else _hint(key)}"
        return wrong_value(key, first)
    if found := re.search(r"Could not override '([^']+)'", text):
        return f"{found.group(1)}: no such key; {_hint(found.group(1))}"
    if found := re.search(r"Could not find '([^']+)'", text):
        group, _, name = found.group(1).rpartition("/")
        hint = nearest_value(group, name, _choices(group), plugins=group_at(group) is not None)
        return f"{group}={name}: no such choice; {_misplaced(group, name) or hint}"
    if found := re.search(r"Could not load '([^']+)'|Cannot find primary config '([^']+)'", text):
        return f"{found.group(1) or found.group(2)}: no such config"
    return " ".join(str(error).split())


def _choices(group: str) -> list[str]:
    """The names of a group: of its files, and of its registered choices."""
    registered = group_at(group)
    files = {p.stem for folder in SEARCH.folders for p in (folder / group).glob("*.yaml")}
    return sorted(files | set(choices(registered) if registered else ()))


def _misplaced(group: str, name: str) -> str:
    """Where the file of a choice lies, if Hydra does not find it there."""
    for folder in SEARCH.folders:
        if (folder / group / f"{name}.yml").is_file():
            return f"rename {folder / group / f'{name}.yml'} to {name}.yaml, the only ending that Hydra reads"
        if group and (folder / f"{name}.yaml").is_file():
            if folder.name == group:
                return f"give the folder above it, --config-dir={folder.parent}"
            return f"put {folder / f'{name}.yaml'} into {folder / group}"
    return ""


def wrong_file(group: str, value: str) -> str:
    """The hint for a group that is set to a file (experiment=conf/experiment/base.yaml) instead of a name, else empty."""
    if not value.endswith((".yaml", ".yml")) or not any((folder / group).is_dir() for folder in SEARCH.folders):
        return ""
    name = PurePath(value).stem
    if name in _choices(group):
        return f"a choice is named without its folder and ending; type {group}={name}"
    return f"put the file into DIR/{group}/, then type --config-dir=DIR {group}={name}"


def _hint(key: str) -> str:
    """Name the choice of the group that has this key, or else the most similar key."""
    place, _, name = key.rpartition(".")
    if (group := group_at(place)) and (having := owners(group, name)):
        return f"{place_of(group)}={' or '.join(having)} has it"
    return suggest(key)


CIRCLE = "defaults: a config file names itself in its list; leave that entry out, or give the file another name"


def wrong_word(overrides: Sequence[str], error: ValueError) -> ConfigError | None:
    """A ConfigError that names the override behind a ValueError of Hydra; None for any other error.

    Hydra raises it if a group of conf/ is set to something that is not a name (training=5), or for a key inside a list."""
    groups = {p.name for p in CONF.iterdir() if p.is_dir()} | set(GROUPS)
    known = set(keys(Config()))
    for o in OverridesParser.create().parse_overrides([w for w in overrides if not w.startswith("-") and "=" in w]):
        key, above = o.key_or_group, o.key_or_group.rpartition(".")[0]
        if "Config group override" in str(error):
            if not isinstance(o.value(), str | list) and (key in groups or not key):
                return ConfigError(f"{o.input_line}: {key} is a group; name one of its choices")
        elif key not in known and above in known:
            return ConfigError(f"{key}: no such key; give all of {above}=[...]")
    return None
