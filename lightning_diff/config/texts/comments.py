"""A config as YAML with a comment on each key: the text about the key, once."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from ..convert import yaml_text
from .described import Key, all_keys, brief

WIDTH = 100


def commented(values: dict[str, Any], place: str = "") -> str:
    """Plain values of a config, or of its part at `place`, as YAML with comments."""
    keys: dict[str, list[Key]] = {}
    for key in all_keys():
        keys.setdefault(key.name, []).append(key)
    return "".join(_lines(values, f"{place}." if place else "", "", keys, set()))


def _lines(
    values: dict[str, Any], prefix: str, indent: str, keys: dict[str, list[Key]], told: set[str]
) -> Iterator[str]:
    kind = values.get("kind")
    for name, value in values.items():
        text = _text(keys.get(prefix + name, ()), f"{prefix[:-1]}={kind}".replace(".", "/"), value)
        if text and text not in told:
            mark = f"{indent}# "
            yield textwrap.fill(text, WIDTH, initial_indent=mark, subsequent_indent=mark) + "\n"
            told.add(text)
        if isinstance(value, dict) and value:
            yield f"{indent}{name}:\n"
            yield from _lines(value, f"{prefix}{name}.", f"{indent}  ", keys, told)
        else:
            yield textwrap.indent(yaml_text({name: value}), indent)


def _text(found: Any, choice: str, value: Any) -> str:
    """The text about a key; of several choices that have it, of the one at hand. Of a choice, what the choice is."""
    key = next((key for key in found if key.choice == choice), next(iter(found), None))
    if key is None:
        return ""
    group = key.field.metadata.get("group")
    if group and isinstance(value, dict) and (cls := key.of_choice(value.get("kind"))):
        return brief(cls)
    return str(key.text)
