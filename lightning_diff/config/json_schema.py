"""A JSON schema of the config. Editors use it to complete and check conf/*.yaml.

It is made from the dataclasses of schema.py and the registered choices: types, bounds, allowed words, docstrings. Its root
describes the config that an experiment file changes; #/definitions/GROUP describes the files of conf/GROUP.

python -m lightning_diff.config.json_schema      writes conf/schema.json
"""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..files import write_text
from .paths import CONF
from .registry import PLACES, choices
from .schema import Config

FILE = CONF / "schema.json"
TYPES: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}
BOUNDS = {"low": "minimum", "high": "maximum", "above": "exclusiveMinimum"}
DEFAULTS = {"description": "The files and choices that this one begins with.", "type": "array"}

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The schema, in draft 7 of JSON Schema: the newest that the YAML language server supports completely."""
    definitions: dict[str, Schema] = {}
    root = _table(Config, definitions)
    root["properties"] |= {"defaults": DEFAULTS, "hydra": {"type": "object"}}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "The config of a run"}
    return {**head, **root, "definitions": dict(sorted(definitions.items()))}


def text() -> str:
    """The content of conf/schema.json."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def _table(cls: Any, definitions: dict[str, Schema]) -> Schema:
    """The schema of a dataclass, as an object. No key is required; nested groups become definitions."""
    hints = get_type_hints(cls)
    keys = {f.name: _key(f, hints[f.name], definitions) for f in fields(cls)}
    return {"description": _doc(cls), "type": "object", "properties": keys, "additionalProperties": False}


def _key(f: Field[Any], hint: Any, definitions: dict[str, Schema]) -> Schema:
    rule = f.metadata
    if group := rule.get("group"):
        many, name = "many" in rule, PLACES.get(group, group).replace("/", ".")
        if name not in definitions:
            definitions[name] = {}  # a choice may hold another of its own group
            definitions[name] = _group(group, many, definitions)
        reference = {"$ref": f"#/definitions/{name}"}
        if not many:
            return reference
        return {"type": "array", "items": {"anyOf": [{"enum": sorted(choices(group))}, reference]}}
    if is_dataclass(f.default_factory):
        inner = _table(f.default_factory, definitions)
        inner["properties"]["defaults"] = DEFAULTS
        definitions[f.name] = inner
        return {"$ref": f"#/definitions/{f.name}"}
    found = _value(hint, rule, definitions)
    if where := rule.get("only"):
        found["description"] = "Counts with " + " and ".join(
            f"{other}={' or '.join(map(str, allowed))}" for other, allowed in where.items()
        )
    default = f.default_factory() if f.default_factory is not MISSING else f.default
    return found if default in (MISSING, "???") else {**found, "default": default}


def _group(group: str, many: bool, definitions: dict[str, Schema]) -> Schema:
    """The schema of one choice of the group. In a list each entry must give its kind. Elsewhere the kind is optional,
    because a table may change a few keys of a choice that another file makes."""
    tables = []
    for name, cls in sorted(choices(group).items()):
        table = {"title": name, **_table(cls, definitions)}
        table["properties"]["kind"] = {"const": name}
        if many:
            table["required"] = ["kind"]
        else:
            table["properties"]["defaults"] = DEFAULTS
        tables.append(table)
    described = f"One of {', '.join(sorted(choices(group)))}."
    return {
        "description": described,
        "type": "object",
        "properties": {},
        "additionalProperties": True,  # each choice lists its own
        "oneOf" if many else "anyOf": tables,
    }


def _value(hint: Any, rule: Any, definitions: dict[str, Schema]) -> Schema:
    """The schema of a plain value, or of a list of them; the bounds apply to each entry."""
    if get_origin(hint) is list:
        return {"type": "array", "items": _value(get_args(hint)[0], rule, definitions)}
    if is_dataclass(hint):
        return _table(hint, definitions)
    some = [kind for kind in (get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)) if kind is not Any]
    found: Schema = {}
    if "allowed" in rule:
        found["enum"] = list(dict.fromkeys(rule["allowed"]))
        if NoneType in some:
            found["enum"].append(None)
    elif some:
        names = ["null" if kind is NoneType else TYPES[get_origin(kind) or kind] for kind in some]
        found["type"] = names[0] if len(names) == 1 else names
    return found | {theirs: rule[ours] for ours, theirs in BOUNDS.items() if ours in rule}


def _doc(cls: Any) -> str:
    """A docstring without the line breaks inside its paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(cls) or "").split("\n\n"))


if __name__ == "__main__":
    write_text(FILE, text())
    print(FILE)
