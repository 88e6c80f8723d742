"""A run's stored config: the text of config.yaml, with its sum in the first line, and the plain values in it.

The file may come from anybody (law 8). So it holds plain values alone: no tags, no aliases, which could blow up, and no
interpolations.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from .typed import hide_all
from .versions import upgraded

MOST = 2**20  # bytes
SUM = re.compile(rb"\A# sum ([0-9a-f]{8})\r?\n")


class _Plain(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) in it; write the values out")
        return super().compose_node(parent, index)


def with_sum(text: str) -> str:
    """The text of a config, with its sum as the first line."""
    return f"# sum {zlib.crc32(text.encode()):08x}\n{text}"


def stored_values(path: Path) -> dict[str, Any]:
    """The plain values of a stored config, in today's words. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read ({e.strerror})") from e
    if len(data) > MOST:
        raise ConfigError(f"{path}: not a config: it is larger than 1 MiB")
    if (found := SUM.search(data)) and zlib.crc32(data[found.end() :]) != int(found[1], 16):
        raise ConfigError(
            f"{path}: damaged (it is not as it was written); take it from a copy, or delete its first line if you changed it "
            "yourself"
        )
    try:
        values: Any = yaml.load(data.decode("utf-8"), _Plain)
        hidden: dict[str, Any] = hide_all(upgraded(values))
    except (yaml.YAMLError, ValueError) as e:
        raise ConfigError(f"{path}: not a config: {' '.join(str(e).split())[:200]}") from e
    except (AttributeError, KeyError, TypeError, RecursionError) as e:
        raise ConfigError(f"{path}: not a config ({type(e).__name__})") from e
    return hidden
