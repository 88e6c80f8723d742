"""The list `defaults` of a config file, and its aliases: what Hydra or YAML would take in another sense, or never end to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError

GLOBAL = ("experiment", "debug")  # groups whose files change the whole config
MOST = 100_000  # nodes of a file whose aliases are written out


def check_defaults(node: Any, file: Path, group: str) -> None:
    """Raises ConfigError if the list defaults holds anything else than names, or, in a file that changes the whole config, an
    entry that Hydra would look for inside of the file's own group."""
    where = f"{file}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.SequenceNode):
        raise ConfigError(
            f"{where}: defaults is a list; write each entry on a line of its own, - override /sampler: heun"
        )
    for entry in node.value:
        pairs = entry.value if isinstance(entry, yaml.MappingNode) else [(None, entry)]
        for key, value in pairs:
            where = f"{file}:{value.start_mark.line + 1}"
            if not str(value.tag).endswith((":str", ":null", ":seq")):
                raise ConfigError(
                    f'{where}: defaults: {value.value} is no name of a choice for YAML; quote it, "{value.value}"'
                )
            if group in GLOBAL and (hint := _misread(key, value, group)):
                raise ConfigError(f"{where}: defaults: {hint}")


def _misread(key: Any, value: Any, group: str) -> str:
    """How an entry must be written that Hydra would not take as it is meant; empty for all others."""
    if key is None:
        words = str(value.value).split()
        return "an override names a choice, - override /sampler: heun" if words[:1] == ["override"] else ""
    *before, name = str(key.value).split() or [""]
    plain = name.partition("@")[0].strip("/")
    chosen = value.value if str(value.tag).endswith(":str") else ""
    if plain in GLOBAL or (not chosen and str(value.tag).endswith(":null") and "override" not in before):
        return f"another file of {group}/ is named alone, - {chosen if plain in GLOBAL else plain}"
    if "override" in before and name.startswith("/"):
        return ""
    return f"write - override /{plain}: {chosen or 'NAME'}"


def check_aliases(node: Any, file: Path) -> None:
    """Raises ConfigError if an alias (*name) holds itself, or if aliases of aliases would fill the memory."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()

    def size(one: Any) -> int:
        if id(one) in inside:
            raise ConfigError(f"{file}:{one.start_mark.line + 1}: an alias (*name) holds itself; write the values out")
        if id(one) not in sizes:
            inside.add(id(one))
            parts = one.value if isinstance(one, yaml.CollectionNode) else []
            sizes[id(one)] = 1 + sum(size(p) for part in parts for p in (part if isinstance(part, tuple) else (part,)))
            inside.discard(id(one))
        return sizes[id(one)]

    if size(node) > MOST:
        raise ConfigError(f"{file}:1: its aliases (*name) would become more than {MOST:,} values; write the values out")
