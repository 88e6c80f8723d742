"""Print all choices of all groups with their keys: python -m lightning_diff.config.options [group=NAME]

The output is docs/choices.md. It is made from the registry, so it always agrees with the code; a test checks that.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

from .plugins import load_plugins
from .registry import GROUPS, PLACES, Choice, choices

HEAD = """# Choices

What can stand in each place of the config: choose with `GROUP=NAME`, set a key with `GROUP.KEY=VALUE`. This page is made by
`python -m lightning_diff.config.options`; [options.md](options.md) says what holds each of them, [extending.md](extending.md)
how to add one of your own.
"""


def bounds(f: Field[Any]) -> str:
    """The values that a key may have."""
    rule = f.metadata
    if "allowed" in rule:
        return ", ".join(f"`{a}`" for a in rule["allowed"])
    if "each" in rule:
        return "some of " + ", ".join(f"`{a}`" for a in rule["each"])
    if "group" in rule:
        return f"choices of `{rule['group']}`" if rule.get("many") else f"a choice of `{rule['group']}`"
    said = [f"> {rule['above']}"] if "above" in rule else [f">= {rule['low']}"] if "low" in rule else []
    said += [f"<= {rule['high']}"] if "high" in rule else []
    for other, values in rule.get("only", {}).items():
        said.append(f"with `{other}` {' or '.join(f'`{v}`' for v in values)}")
    return ", ".join(said)


def usual(f: Field[Any]) -> str:
    """A key's default, as a user would type it."""
    value = f.default if f.default is not MISSING else f.default_factory()  # type: ignore[misc, operator]
    if isinstance(value, Choice):
        return f"`{value.kind}`"
    if isinstance(value, list):
        parts = [v.kind if isinstance(v, Choice) else f"{v:g}" if isinstance(v, float) else str(v) for v in value]
        return f"`[{','.join(parts)}]`"
    plain = (
        {None: "null", True: "true", False: "false", "": "''"} if value is None or isinstance(value, str | bool) else {}
    )
    return f"`{plain.get(value, value)}`"


def keys_of(cls: Any) -> list[Field[Any]]:
    return [f for f in fields(cls) if f.name != "kind"]


def section(group: str) -> Iterator[str]:
    """Describe a group: each of its choices, then the keys that all of them share."""
    known = choices(group)
    place = PLACES.get(group, group)
    yield f"\n## `{place}`\n\n"
    base = next(iter(known.values())).__mro__[-3]  # the class below Choice and object
    common = [f.name for f in keys_of(base)]
    for name, cls in known.items():
        yield f"- **`{place}={name}`** {_said(cls)}\n"
        for f in keys_of(cls):
            if f.name not in common:
                yield f"    - {_key(f)}\n"
    if not common:
        return
    yield f"\nAll of them: {_said(base)}\n\n"
    yield from (f"- {_key(f)}\n" for f in fields(base) if f.name in common)
    others = []
    for name, cls in known.items():
        if other := [f for f in keys_of(cls) if f.name in common and usual(f) != usual(_own(base, f.name))]:
            others.append(f"`{name}` with {', '.join(f'`{f.name}` {usual(f)}' for f in other)}")
    if others:
        yield f"\nOther defaults: {'; '.join(others)}.\n"


def _said(cls: type) -> str:
    """The docstring of a class in one line."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split())


def _own(cls: Any, name: str) -> Field[Any]:
    return next(f for f in fields(cls) if f.name == name)


def _key(f: Field[Any]) -> str:
    limit = bounds(f)
    return f"`{f.name}` = {usual(f)}" + (f" ({limit})" if limit else "")


def page() -> str:
    """The content of docs/choices.md."""
    return HEAD + "".join("".join(section(group)) for group in GROUPS)


if __name__ == "__main__":
    load_plugins(sys.argv[1:])
    asked = [word.removeprefix("group=") for word in sys.argv[1:] if word.startswith("group=")]
    print("".join("".join(section(group)) for group in asked) if asked else page(), end="")
