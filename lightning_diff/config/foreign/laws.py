"""What becomes of each field of another project's config (law 11): it is carried over, it must have a value that equals what
this project does, or it has no effect on what the model computes. A field that no table names is refused by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError

CARRIED, EQUAL, NO_EFFECT = "carried over", "equal to what is done here", "no effect on what the model computes"


@dataclass(frozen=True)
class Law:
    """The law of one field. `default` is its value where a config does not name it, as in the peer's class. `equal` are the
    values that this project's code computes. `why` is a note for the reader."""

    fate: str
    default: Any
    equal: tuple[Any, ...] = ()
    why: str = ""


Laws = dict[str, Law]


def carried(default: Any, why: str = "") -> Law:
    """The value becomes an argument of this project's net, path or tokenizer."""
    return Law(CARRIED, default, (), why)


def equal(default: Any, *more: Any, why: str = "") -> Law:
    """Only the default, or one of `more`, is what this project computes; another value is refused."""
    return Law(EQUAL, default, (default, *more), why)


def no_effect(default: Any, why: str) -> Law:
    """Any value; `why` says why it changes nothing."""
    return Law(NO_EFFECT, default, (), why)


def plain(value: Any) -> Any:
    """The value as JSON gives it back: a tuple becomes a list."""
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def heed(laws: Laws, config: Mapping[str, Any], where: object) -> dict[str, Any]:
    """The value of every field, with the defaults for those that the config does not name. Names with an underscore in front
    belong to the library that wrote the config. Raises ConfigError for a field that no law knows, and for a value that this
    project does not compute."""
    for name, value in config.items():
        law = laws.get(name)
        if law is None and not name.startswith("_"):
            raise ConfigError(f"{where}: {name}={value}: no field that this project knows; it would be ignored")
        if law is not None and law.fate == EQUAL and plain(value) not in [plain(v) for v in law.equal]:
            allowed = " or ".join(json.dumps(plain(v)) for v in law.equal)
            raise ConfigError(f"{where}: {name}={json.dumps(plain(value))}: only {allowed} is computed here")
    return {name: plain(config.get(name, law.default)) for name, law in laws.items()}


def class_of(config: Mapping[str, Any], known: str, where: object) -> None:
    """Raises ConfigError if the config is of another class of the peer."""
    found = config.get("_class_name", known)
    if found != known:
        raise ConfigError(f"{where}: _class_name={found}: only {known} is opened here")


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file. Raises ConfigError."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise ConfigError(f"{path}: not JSON ({e})") from e
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: not a table")
    return found
