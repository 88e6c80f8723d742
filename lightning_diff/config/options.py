"""Print all choices of all groups with their keys: python -m lightning_diff.config.options [group=NAME]

The output is docs/choices.md. It is made from the registry, so it always agrees with the code; a test checks that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from typing import Any

from .compose import usual_values
from .plugins import load_plugins
from .registry import GROUPS, PLACES, choices
from .schema import Config, Slurm
from .texts.described import LAUNCHER, base_of, default, keys_of, limits, said, typed

HEAD = """# Choices and keys

All keys of the config, and what can stand in each place of it: choose with `GROUP=NAME`, set a key with `GROUP.KEY=VALUE`.
`python train.py --help KEY` prints the same for one key. `python -m lightning_diff.config.options` makes this page.
[options.md](options.md) has the formulas, and says which test holds each choice. [extending.md](extending.md) shows how to add
one of your own.
"""


def section(group: str) -> Iterator[str]:
    """Describe a group: each of its choices, then the keys that all of them share."""
    known = choices(group)
    place = PLACES.get(group, group)
    yield f"\n## `{place}`\n\n"
    base = base_of(next(iter(known.values())))
    common = [f.name for f in keys_of(base)]
    for name, cls in known.items():
        yield f"- **`{place}={name}`** {said(cls)}\n"
        for f in keys_of(cls):
            if f.name not in common:
                yield f"    - {_key(f)}\n"
    if not common:
        return
    yield f"\nAll of them: {said(base)}\n\n"
    yield from (f"- {_key(f)}\n" for f in fields(base) if f.name in common)
    others = []
    for name, cls in known.items():
        if other := [
            f for f in keys_of(cls) if f.name in common and typed(default(f)) != typed(default(_own(base, f.name)))
        ]:
            others.append(f"`{name}` with {', '.join(f'`{f.name}` {_usual(f)}' for f in other)}")
    if others:
        yield f"\nOther defaults: {'; '.join(others)}.\n"


def tables() -> Iterator[str]:
    """Describe the tables of the schema that are no choices: the top of the config, `training`, ..., the launcher's."""
    inner = [(f.name, f.default_factory) for f in fields(Config) if is_dataclass(f.default_factory)]
    yield from _table("The top of the config", Config, usual_values())
    for name, cls in inner:
        yield from _table(f"`{name}`", cls, usual_values()[name])
    yield from _table(f"`{LAUNCHER}`", Slurm, {})


def _table(title: str, cls: Any, values: dict[str, Any]) -> Iterator[str]:
    """Describe the keys of a class; `values` are those of a command without words, where conf/ sets them."""
    yield f"\n## {title}\n\n{said(cls)}\n\n"
    for f in keys_of(cls):
        if not is_dataclass(f.default_factory):
            yield f"- {_key(f, None if 'group' in f.metadata else values.get(f.name))}\n"


def _usual(f: Field[Any]) -> str:
    return f"`{typed(default(f))}`"


def _own(cls: Any, name: str) -> Field[Any]:
    return next(f for f in fields(cls) if f.name == name)


def _key(f: Field[Any], value: Any = None) -> str:
    limit = limits(f, "`")
    return f"`{f.name}` = {_usual(f) if value is None else f'`{typed(value)}`'}" + (f" ({limit})" if limit else "")


def page() -> str:
    """The content of docs/choices.md."""
    return HEAD + "".join(tables()) + "".join("".join(section(group)) for group in GROUPS)


if __name__ == "__main__":
    load_plugins(sys.argv[1:])
    asked = [word.removeprefix("group=") for word in sys.argv[1:] if word.startswith("group=")]
    print("".join("".join(section(group)) for group in asked) if asked else page(), end="")
