"""Values as they are typed: a key that holds a path or a text takes any letters, and Hydra's grammar does not read them.

Hydra's grammar gives a meaning to ~ , = $ ( ) [ ] { } ' " and to words such as no, null and 1e5. A path and a text may hold
them. So their values are quoted before Hydra sees them, unless Hydra would read the same text without quotes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from ..registry import choices
from ..schema import Config

NULL = ("null", "???")  # values with a meaning of their own
SWEEP = r"(choice|range|interval|glob|shuffle|sort|tag)\(.*\)"  # Hydra's functions for a multirun
DOLLAR = "\ufdd0"  # stands for the $ of a literal ${ while OmegaConf has the value: no text holds this code point
WEIGHTS = "weights.safetensors"  # the file name of a finished run's weights, in its folder


def fields_at(key: str) -> list[tuple[Any, Field[Any]]]:
    """(class, field) of a dotted key of the config: several if several choices have it, none if there is no such key."""
    classes: list[Any] = [Config]
    found: list[tuple[Any, Field[Any]]] = []
    for name in key.split("."):
        found = [(cls, f) for cls in classes for f in fields(cls) if f.name == name]
        classes = []
        for _, f in found:
            if group := f.metadata.get("group"):
                classes += [] if f.metadata.get("many") else choices(group).values()
            elif is_dataclass(f.default_factory):
                classes.append(f.default_factory)
    return found


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def kind_of(key: str) -> tuple[str, bool]:
    """(kind, whether it is a list) of a key's values. It is path, text, int, float, bool or empty for all others. If choices
    differ (net.depth is a number of net=uvit, a list of net=ldm), it is the first one's kind, and need not be a list."""
    kinds = [kind for cls, f in fields_at(key) if (kind := _kind(cls, f))[0]]
    return (kinds[0][0], all(many for _, many in kinds)) if kinds else ("", False)


def _kind(cls: Any, f: Field[Any]) -> tuple[str, bool]:
    hint = _hints(cls)[f.name]
    many = get_origin(hint) is list
    some = {kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)}
    if f.metadata.get("path"):
        return "path", many
    if some == {str} and "allowed" not in f.metadata:
        return "text", many
    if len(some) == 1 and some <= {int, float, bool}:
        return some.pop().__name__, many
    return "", False


def listed_group(key: str) -> str:
    """The group of the choices that a key lists, as text.more and tracking.also do; empty for other keys."""
    return next((str(f.metadata["group"]) for _, f in fields_at(key) if f.metadata.get("many")), "")


def is_group(key: str) -> str:
    """Hydra's path of the group at a key, if the key holds a table; else empty."""
    tables = (f for _, f in fields_at(key) if "many" not in f.metadata)
    table = any("group" in f.metadata or is_dataclass(f.default_factory) for f in tables)
    return key.replace(".", "/") if table else ""


def for_hydra(word: str, multirun: bool = False) -> str:
    """An override as Hydra must be given it, so that a path or a text stays what the user typed."""
    head, equals, value = word.partition("=")
    key = head.lstrip("+")
    if equals and (group := listed_group(key)):
        return f"{head}={_listed(value, group)}"
    kind, many = kind_of(key) if equals else ("", False)
    if kind not in ("path", "text") or value in NULL:
        return word
    if many:
        inner = value[1:-1] if value[:1] == "[" and value[-1:] == "]" else value
        if multirun and inner == value:
            return word
        return f"{head}=[{','.join(_quoted_if_needed(part.strip(), kind) for part in split(inner) if part)}]"
    sweeps = multirun and key not in ("outputs", "cache")  # the runs of a multirun lie in one folder
    if sweeps and re.fullmatch(SWEEP, value) and not exists(value):
        return word
    parts = _parts(key, value, kind) if sweeps else [value]
    return f"{head}={','.join(_quoted_if_needed(part, kind) for part in parts)}"


def _listed(value: str, group: str) -> str:
    """A list of choices, [NAME, {kind: NAME, key: VALUE}], in which each path and each text stays what the user typed."""
    if value[:1] != "[" or value[-1:] != "]":
        return value
    return f"[{','.join(_table(part.strip(), group) for part in split(value[1:-1]))}]"


def _table(part: str, group: str) -> str:
    if part[:1] != "{" or part[-1:] != "}":
        return part
    entries = []
    for entry in split(part[1:-1]):
        name, colon, value = (some.strip() for some in entry.partition(":"))
        known = [_kind(cls, f) for cls in choices(group).values() for f in fields(cls) if f.name == name]
        kind = next((kind for kind, many in known if kind in ("path", "text") and not many), "")
        entries.append(f"{name}: {_quoted_if_needed(value, kind)}" if colon and kind and value else entry)
    return f"{{{','.join(entries)}}}"


def as_typed(word: str) -> str:
    """The inverse of for_hydra, for an override that sets one value."""
    head, equals, value = word.partition("=")
    kind, many = kind_of(head.lstrip("+")) if equals else ("", False)
    if kind not in ("path", "text") or many:
        return word
    return f"{head}={revealed(unquoted(value))}"


def _parts(key: str, value: str, kind: str) -> list[str]:
    """The values that a multirun takes: those between the commas, but one value if it exists as a path."""
    parts = [part.replace(DOLLAR, ",") for part in split(value.replace("\\,", DOLLAR))]  # Hydra's way to write a comma
    if len(parts) == 1 or (kind == "path" and exists(value)):
        if len(parts) > 1 and all(exists(part) for part in parts):
            line = f"{key}={value}: one path, because it exists; for one run each: '{key}=choice({value})'"
            print(line, file=sys.stderr)
        return [value] if exists(value) else parts
    return parts


def split(text: str, separator: str = ",") -> list[str]:
    """The parts between commas. A comma inside quotes, braces or brackets does not separate, if these are closed."""
    closers = {"{": "}", "[": "]", "(": ")", "'": "'", '"': '"'}
    parts, inside = [""], list[str]()
    for letter in text:
        if inside and letter == inside[-1]:
            inside.pop()
        elif letter in closers and not (inside and inside[-1] in "'\"") and (letter not in "'\"" or not parts[-1]):
            inside.append(closers[letter])
        if letter == separator and not inside:
            parts.append("")
        else:
            parts[-1] += letter
    return text.split(separator) if inside else parts


def exists(path: str) -> bool:
    try:
        return os.path.lexists(os.path.expanduser(path))
    except ValueError:  # a path with a zero byte
        return False


def unquoted(value: str) -> str:
    """The value without the quotes around it, as users of Hydra learned to write them, unless a path has them in its name."""
    if len(value) < 2 or value[0] != value[-1] or value[0] not in "'\"" or exists(value):
        return value
    read = _read(value)
    return value[1:-1] if read is None else read


def quoted(text: str) -> str:
    """A text in quotes, so that Hydra's grammar reads this text."""
    inner = re.sub(r"(\\*)'", lambda found: found[1] * 2 + "\\'", text)
    return "'" + re.sub(r"(\\+)$", lambda found: found[1] * 2, inner) + "'"


def _quoted_if_needed(value: str, kind: str) -> str:
    if value in NULL:
        return value
    text = unquoted(value)
    if kind == "path":
        text = hidden(text)
    return text if text and _read(text) == text else quoted(text)


def _read(value: str) -> str | None:
    """The text that Hydra's grammar reads; None if it is no text, or an error."""
    try:
        override = OverridesParser.create().parse_override(f"k={value}")
    except HydraException:
        return None
    read = None if override.is_sweep_override() else override.value()
    return read if isinstance(read, str) else None


def hidden(text: str) -> str:
    """The text, with each ${ hidden from OmegaConf, which would read an interpolation."""
    return text.replace("${", DOLLAR + "{")


def revealed(text: str) -> str:
    return text.replace(DOLLAR, "$")


def hide_all(value: Any) -> Any:
    """Plain values of a stored config, which holds no interpolations."""
    if isinstance(value, dict):
        return {key: hide_all(part) for key, part in value.items()}
    if isinstance(value, list):
        return [hide_all(part) for part in value]
    return hidden(value) if isinstance(value, str) else value


def as_path(text: str) -> str:
    """A path as the user typed it: without the quotes around it, and with ~ as the home."""
    return os.path.expanduser(unquoted(revealed(text)))


def final(value: Any, f: Field[Any], outputs: str = "outputs") -> Any:
    """The final value of a field, after OmegaConf: each path has its home, and a run stands for its weights."""
    if isinstance(value, list):
        return [final(part, f, outputs) for part in value]
    if not isinstance(value, str):
        return value
    text = revealed(value)
    if not f.metadata.get("path"):
        return text
    path = os.path.expanduser(text)
    if f.metadata.get("run") and not os.path.isfile(path):
        places = (Path(folder, WEIGHTS) for folder in (path, os.path.join(outputs, path)) if path)
        return next((str(place) for place in places if os.path.isfile(place)), path)
    return path


def nodes(config: Any) -> Iterator[Any]:
    """Every dataclass in a config, also those in lists."""
    yield config
    for f in fields(config):
        value = getattr(config, f.name)
        for part in value if isinstance(value, list) else [value]:
            if is_dataclass(part):
                yield from nodes(part)
