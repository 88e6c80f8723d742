"""The text of --help KEY: a key, a table of keys, a group, a choice, or a file of conf/. All of it is generated."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any

from ..compose import usual_values
from ..errors import ConfigError
from ..input.search import SEARCH
from ..registry import choices, group_at, place_of
from ..schema import Config, Slurm
from .described import LAUNCHER, Key, all_keys, base_of, brief, default, keys_of, kind, limits, said, typed
from .suggest import suggest
from .values import nearest_value

WIDTH = 110


def help_on(topic: str) -> str:
    """The text about `training`, `guidance.interval`, `sampler`, `sampler=ddim` or `experiment=base`. Raises ConfigError."""
    name, chosen, value = topic.lstrip("+").partition("=")
    place = name.replace(".", "/")
    if chosen and value and (text := _choice(place, value)):
        return text
    name = name.replace("/", ".")
    group = group_at(name) or (group_at(place_of("features")) if name == "features" else None)
    if group:
        return "\n".join(_group(group))
    if any((folder / place).is_dir() for folder in SEARCH.folders) and not hasattr(Config(), name):
        return "\n".join([f"{place}: choose with {place}=NAME", *_files(place)])
    if name == LAUNCHER:
        return "\n".join(_table(LAUNCHER, Slurm))
    found = [key for key in all_keys() if key.name == name and key.settable]
    if not found:
        raise ConfigError(f"{topic}: no such key; {suggest(name)}")
    inner = found[0].field.default_factory
    if is_dataclass(inner):
        return "\n".join([*_table(name, inner), "", *_files(name)])
    return "\n\n".join("\n".join(_key(name, [key for key in found if _sameness(key) == one]))
                       for one in dict.fromkeys(map(_sameness, found)))  # fmt: skip


def _sameness(key: Key) -> tuple[str, ...]:
    return kind(key.cls, key.field), typed(default(key.field)), limits(key.field), key.text


def _key(name: str, alike: Sequence[Key]) -> Iterator[str]:
    """One key, of all choices that have it alike."""
    key = alike[0]
    yield f"{name}: {kind(key.cls, key.field)}"
    yield f"  default     {_usual(key)}"
    rule = key.field.metadata
    many = rule.get("group") and sorted(choices(rule["group"]))
    if values := ", ".join(many) if many else limits(key.field):
        yield from _wrapped(f"  {'values' if many or 'allowed' in rule else 'bounds':12}", values)
    if key.choice:
        every = len(alike) == len(choices(key.cls.group))
        where = [f"every choice of {place_of(key.cls.group)}"] if every else [one.choice for one in alike]
        yield from _wrapped("  belongs to  ", ", ".join(where))
    yield ""
    yield from _wrapped("  ", key.text)


def _usual(key: Key) -> str:
    """The value that a command without words gets; of a choice's key, that of the choice."""
    if key.choice or key.name.startswith(LAUNCHER):
        return typed(default(key.field))
    value: Any = usual_values()
    for part in key.name.split("."):
        value = value[part]
    return typed(value)


def _table(name: str, cls: Any) -> Iterator[str]:
    yield from _wrapped(f"{name}: ", brief(cls))
    yield ""
    yield from _lines([Key(f"{name}.{f.name}", f, cls) for f in keys_of(cls)])


def _lines(keys: Sequence[Key]) -> Iterator[str]:
    """Each key with its default, its limits and its text. A text about several keys follows the first of them."""
    told = set[str]()
    for key in keys:
        limit = limits(key.field)
        yield from _wrapped(f"  {key.field.name} = {_usual(key)}", f"  ({limit})" if limit else "")
        if key.text not in told:
            yield from _wrapped("      ", key.text)
        told.add(key.text)


def _group(group: str) -> Iterator[str]:
    known, place = choices(group), place_of(group)
    base = base_of(next(iter(known.values())))
    yield from _wrapped(f"{place}: ", said(base))
    yield ""
    for name, cls in known.items():
        yield from _wrapped(f"  {place}={name}  ", brief(cls))
    yield from _files(place)
    yield ""
    yield f"One of them with its keys: --help {place}={next(iter(known))}"


def _choice(place: str, name: str) -> str:
    """A registered choice with its keys, or a file of conf/ as it is."""
    group, file = group_at(place), SEARCH.file(place, name)
    if group and name in choices(group):
        cls = choices(group)[name]
        keys = [Key(f"{place}.{f.name}".replace("/", "."), f, cls, f"{place}={name}") for f in keys_of(cls)]
        return "\n".join([*_wrapped(f"{place}={name}: ", brief(cls)), "", *_lines(keys)])
    if file is not None:
        return f"{place}={name}: {file}\n\n{textwrap.indent(file.read_text('utf-8').strip(), '  ')}"
    names = [*(choices(group) if group else ()), *_names(place)]
    if names:
        raise ConfigError(f"{place}={name}: no such choice; {nearest_value(place, name, sorted(names))}")
    return ""


def _names(place: str) -> list[str]:
    return sorted({p.stem for folder in SEARCH.folders for p in (folder / place).glob("*.yaml")})


def _files(place: str) -> Iterator[str]:
    """A line for each file of the group: its comment, or else what it sets."""
    for name in _names(place):
        file = SEARCH.file(place, name)
        lines = file.read_text("utf-8").splitlines() if file else []
        comment = next((x.lstrip("# ") for x in lines if x.startswith("#") and "@package" not in x), "")
        said = comment.rpartition(" : ")[2] or ", ".join(line.strip() for line in lines)
        yield from _wrapped(f"  {place}={name}  ", said)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(head + text, WIDTH, subsequent_indent=" " * min(len(head), 16), break_on_hyphens=False) or [
        head
    ]
