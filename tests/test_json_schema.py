"""conf/schema.json is what the code makes, takes every file of conf/ and every composed config, and refuses slips."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from lightning_diff.config.compose import compose_config
from lightning_diff.config.convert import plain
from lightning_diff.config.json_schema import FILE, json_schema
from lightning_diff.config.paths import CONF, PACKAGE_FOLDER

SCHEMA = json_schema()
WHOLE = ("experiment", "debug")  # folders whose files change a whole config
TYPES: dict[str, Any] = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}
SAID = {"$schema", "title", "description", "default", "definitions", "properties"}  # they refuse nothing by themselves


def is_of(kind: str, value: Any) -> bool:
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, TYPES[kind])


def errors(value: Any, schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """What a value has that the schema does not allow: as much of JSON Schema as ours is written in."""
    for word, rule in schema.items():
        match word:
            case "$ref":
                yield from errors(value, SCHEMA["definitions"][rule.rpartition("/")[2]], at)
            case "type":
                if not any(is_of(kind, value) for kind in ([rule] if isinstance(rule, str) else rule)):
                    yield f"{at}: {value!r} is no {rule}"
            case "enum":
                if value not in rule:
                    yield f"{at}: {value!r} is none of {rule}"
            case "const":
                if value != rule:
                    yield f"{at}: {value!r} is not {rule}"
            case "minimum" | "maximum" | "exclusiveMinimum":
                if isinstance(value, int | float):
                    low = value < rule if word == "minimum" else value <= rule
                    if value > rule if word == "maximum" else low:
                        yield f"{at}: {value!r} is beyond {word} {rule}"
            case "required":
                yield from (f"{at}: no {key}" for key in rule if key not in value)
            case "additionalProperties":
                for key, part in value.items() if isinstance(value, dict) else ():
                    if key in schema["properties"]:
                        yield from errors(part, schema["properties"][key], f"{at}.{key}")
                    elif not rule:
                        yield f"{at}: no key {key}"
            case "items":
                for i, part in enumerate(value if isinstance(value, list) else ()):
                    yield from errors(part, rule, f"{at}[{i}]")
            case "anyOf" | "oneOf":
                fit = sum(not any(errors(value, one, at)) for one in rule)
                if fit == 0 or (word == "oneOf" and fit > 1):
                    yield f"{at}: {value!r} fits {fit} of {[one.get('title') for one in rule]}"
            case _:
                assert word in SAID, f"{word}: this check does not know it"


def schema_of(file: Path) -> dict[str, Any]:
    """What an editor is told to take for a file of conf/."""
    group = file.parent.relative_to(CONF).as_posix()
    return SCHEMA if group in (".", *WHOLE) else SCHEMA["definitions"][group.replace("/", ".")]


def test_the_file_is_what_the_code_makes() -> None:
    """In a process of its own: other tests register choices of theirs."""
    words = [sys.executable, "-c", "from lightning_diff.config.json_schema import text; print(text(), end='')"]
    made = subprocess.run(words, cwd=PACKAGE_FOLDER, capture_output=True, text=True, check=True).stdout
    assert made == FILE.read_text(), "make schema"
    assert json.loads(made) == SCHEMA


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda p: p.relative_to(CONF).as_posix())
def test_every_file_of_conf_is_taken(file: Path) -> None:
    assert list(errors(OmegaConf.to_container(OmegaConf.load(file)), schema_of(file))) == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["experiment=judge"],
        ["objective=v", "sampler=heun_karras", "guidance=apg"],
        ["tracking.also=[csv,{kind:mlflow,uri:'http://host:5000'}]", "tracking.group=mine"],
    ],
)
def test_every_composed_config_is_taken(words: list[str]) -> None:
    assert list(errors(plain(compose_config(words)), SCHEMA)) == []


@pytest.mark.parametrize(
    "config",
    [
        {"training": {"stpes": 5}},
        {"training": {"steps": 0}},
        {"training": {"steps": "many"}},
        {"training": {"compile": 1}},
        {"training": {"precision": "16"}},
        {"objective": {"shift": 0}},
        {"seed": None},
        {"guidance": {"scales": 3}},
        {"guidance": {"kind": "cfg", "norm": 2}},
        {"sampler": {"kind": "eular"}},
        {"tracking": {"also": ["csvv"]}},
        {"tracking": {"also": "csv"}},
        {"tracking": {"also": [{"uri": "http://host"}]}},
        {"tracking": {"also": [{"kind": "csv", "uri": "http://host"}]}},
    ],
    ids=str,
)
def test_a_slip_is_seen(config: dict[str, Any]) -> None:
    assert list(errors(config, SCHEMA))


def test_a_name_or_a_table_stands_in_a_list_of_choices() -> None:
    taken = {"tracking": {"also": ["csv", {"kind": "mlflow", "uri": "http://host"}, {"kind": "tensorboard"}]}}
    assert list(errors(taken, SCHEMA)) == []
