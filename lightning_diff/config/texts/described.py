"""The description of each key: type, default, bounds, and the sentences of its class's docstring that name it.

`--help KEY`, `--cfg job --comments` and docs/choices.md are made from this, so there is no second list of texts.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..checks import single_groups
from ..registry import GROUPS, Choice, choices, place_of
from ..schema import Config, Slurm

TYPES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "a table",
}
MANY: dict[Any, str] = {bool: "of true and false", int: "of whole numbers", float: "of numbers", str: "of texts"}
ABBREVIATED = re.compile(r"\b(al|eq|e\.g|i\.e|vs)\.$")  # a dot that ends no sentence
LAUNCHER = "hydra.launcher"


@dataclass(frozen=True)
class Key:
    """A key of the config: its dotted name, its field, its class, and the choice (group=name) that has it, if any."""

    name: str
    field: Field[Any]
    cls: Any
    choice: str = ""

    @property
    def settable(self) -> bool:
        """Whether NAME=VALUE sets it. The keys of choices in a list are set inside the list."""
        return not self.choice or self.cls.group in _single()

    def of_choice(self, name: Any) -> Any:
        """The class of the choice with this name that may stand at the key; None if there is none."""
        return choices(self.field.metadata["group"]).get(name)

    @property
    def text(self) -> str:
        """The sentences about the key."""
        if is_dataclass(self.field.default_factory):  # a group of keys
            return brief(self.field.default_factory)
        if (group := self.field.metadata.get("group")) and not self.field.metadata.get("many"):
            return brief(base_of(next(iter(choices(group).values()))))
        others = choices(self.cls.group).values() if self.choice else ()
        return next(filter(None, (about(cls, self.field.name) for cls in (self.cls, *others))), "")


@cache
def _single() -> set[str]:
    return single_groups(Config())


def all_keys() -> list[Key]:
    """Every key of the schema and of every choice, also those of choices in lists and of the launcher."""
    found = list(_keys(Config, ""))
    found += [
        Key(f"{_place(group)}.{f.name}", f, cls, f"{place_of(group)}={name}")
        for group in GROUPS
        for name, cls in choices(group).items()
        for f in keys_of(cls)
    ]
    return found + [Key(f"{LAUNCHER}.{f.name}", f, Slurm) for f in keys_of(Slurm)]


def _place(group: str) -> str:
    return place_of(group).replace("/", ".")


def _keys(cls: Any, prefix: str) -> Iterator[Key]:
    for f in fields(cls):
        yield Key(prefix + f.name, f, cls)
        if is_dataclass(f.default_factory):
            yield from _keys(f.default_factory, f"{prefix}{f.name}.")


def keys_of(cls: Any) -> list[Field[Any]]:
    """The fields of a class that a user may set."""
    return [f for f in fields(cls) if f.name != "kind" and not f.name.startswith("_")]


def said(cls: Any) -> str:
    """The docstring of a class in one line."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split())


def base_of(cls: Any) -> Any:
    """The class below Choice that all choices of a group share."""
    return cls.__mro__[-3]


@cache
def about(cls: Any, name: str) -> str:
    """The sentences that name a key with `key`, from the docstring of the class, or of the nearest one above it."""
    for above in cls.__mro__:
        if is_dataclass(above) and "__doc__" in vars(above):
            found = [part for part in sentences(said(above)) if f"`{name}`" in part]
            if found:
                return " ".join(found)
    return ""


def sentences(text: str) -> list[str]:
    """The sentences of a text in one line."""
    found, begin = list[str](), 0
    for end in re.finditer(r"[.?!][)\"]? +(?=[A-Z`(\"])", text):
        part = text[begin : end.end()].strip()
        if ABBREVIATED.search(part) or part.count("(") > part.count(")"):
            continue
        found.append(part)
        begin = end.end()
    return [*found, text[begin:].strip()]


def brief(cls: Any) -> str:
    """The first sentence about a class."""
    return sentences(said(cls))[0]


def kind(cls: Any, f: Field[Any]) -> str:
    """The type of a key's values, in words."""
    if group := f.metadata.get("group"):
        return f"a list of choices of {group}" if f.metadata.get("many") else f"a choice of {group}"
    if is_dataclass(f.default_factory):
        return "a group of keys"
    hint = get_type_hints(cls)[f.name]
    some = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = [part for part in some if part not in (NoneType, Any)]
    one = kinds[0] if kinds else str
    if get_origin(one) is list:
        what = "of paths" if f.metadata.get("path") else MANY.get(get_args(one)[0], "of values")
        return f"a list {what}"
    what = "a path" if f.metadata.get("path") else TYPES.get(get_origin(one) or one, "a value")
    return f"{what}, or null" if NoneType in some else what


def default(f: Field[Any]) -> Any:
    """A key's default value."""
    return f.default if f.default is not MISSING else f.default_factory()  # type: ignore[misc, operator]


def typed(value: Any) -> str:
    """A value as a user types it."""
    if isinstance(value, Choice):
        return value.kind
    if isinstance(value, dict) and [*value] == ["kind"]:
        return str(value["kind"])
    if isinstance(value, list):
        return f"[{','.join(f'{part:g}' if isinstance(part, float) else typed(part) for part in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "''" if value == "" else str(value)


def limits(f: Field[Any], mark: str = "") -> str:
    """The values that a key may have. `mark` stands around each word that can be typed."""

    def words(values: Any, joined: str = ", ") -> str:
        return joined.join(f"{mark}{value}{mark}" for value in values)

    rule = f.metadata
    if "allowed" in rule:
        return words(dict.fromkeys(rule["allowed"]))
    if "each" in rule:
        return f"some of {words(rule['each'])}"
    if "group" in rule:
        what = words([rule["group"]])
        return f"choices of {what}" if rule.get("many") else f"a choice of {what}"
    found = [f"> {rule['above']}"] if "above" in rule else [f">= {rule['low']}"] if "low" in rule else []
    found += [f"<= {rule['high']}"] if "high" in rule else []
    found += [f"with {words([other])} {words(values, ' or ')}" for other, values in rule.get("only", {}).items()]
    return ", ".join(found)
