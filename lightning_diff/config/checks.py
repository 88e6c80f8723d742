"""Checks of a config: ranges, and combinations that make no sense (law 5).

Each error is one line that says what is wrong, where, and how to fix it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from .combinations import combinations
from .errors import ConfigError
from .ignored import ignored
from .registry import Choice, conflicts
from .schema import Config
from .texts.values import nearest_value

LARGEST = 3.4e38  # the nets compute in float32
MOST = 2**53  # the largest integer that a key may hold


def keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key of the schema."""
    for f in fields(node):
        yield prefix + f.name
        value = getattr(node, f.name)
        if is_dataclass(value):
            yield from keys(value, f"{prefix}{f.name}.")


def single_groups(node: Any) -> set[str]:
    """The groups that hold one choice, set with group=name. Groups that hold a list of choices are left out."""
    found = {f.metadata["group"] for f in fields(node) if "group" in f.metadata and "many" not in f.metadata}
    inner = [getattr(node, f.name) for f in fields(node)]
    return found.union(*(single_groups(value) for value in inner if is_dataclass(value)))


def check(config: Config) -> None:
    """Check all values and combinations. Raises ConfigError for the first that is wrong."""
    check_values(config)
    for name, belongs in ignored(config):
        raise ConfigError(f"{name}: would be ignored; it belongs to {belongs}")
    for wrong, message in combinations(config):
        if wrong:
            raise ConfigError(message)
    for made in [*all_choices(config), *config.tracking.short]:
        for message in conflicts(made, config):
            raise ConfigError(message)


def all_choices(node: Any) -> Iterator[Choice]:
    """Yield every choice in a config, also those inside lists and inside other choices."""
    for f in fields(node):
        value = getattr(node, f.name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, Choice):
                yield part
            if is_dataclass(part):
                yield from all_choices(part)


def check_values(node: Any, prefix: str = "") -> None:
    """Check a dataclass against its metadata. Raises ConfigError for the first value that is not allowed."""
    for f in fields(node):
        value, name, rule = getattr(node, f.name), prefix + f.name, f.metadata
        if is_dataclass(value):
            check_values(value, name + ".")
            continue
        if (where := rule.get("only")) and value != f.default:
            for other, allowed in where.items():
                if getattr(node, other) not in allowed:
                    some = " or ".join(filter(None, [", ".join(map(str, allowed[:-1])), str(allowed[-1])]))
                    raise ConfigError(f"{name}: would be ignored; it belongs to {prefix}{other}={some}")
        numbers = value if isinstance(value, list) else [value]
        for n, part in enumerate(numbers):
            if is_dataclass(part):
                check_values(part, f"{name}[{n}].")
        if any(v is None or isinstance(v, list | dict) for v in numbers) and isinstance(value, list):
            raise ConfigError(f"{name}={value}: must be a list of plain values")
        if any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
            raise ConfigError(f"{name}={value}: must be a finite number")
        if any(isinstance(v, float) and abs(v) > LARGEST for v in numbers):
            raise ConfigError(f"{name}={value}: must be at most {LARGEST:g}, the largest number of float32")
        if (allowed := rule.get("allowed")) and value not in allowed:
            words = [str(a) for a in allowed]
            found = nearest_value(name, str(value), words)
            hint = f"; {found}" if found.startswith("did you mean") else ""
            raise ConfigError(f"{name}={value}: must be one of {', '.join(words)}{hint}")
        for part in [n for n in numbers if n is not None] if {"low", "high", "above"} & set(rule) else []:
            if "low" in rule and not part >= rule["low"]:
                raise ConfigError(f"{name}={value}: must be at least {rule['low']}")
            if "high" in rule and not part <= rule["high"]:
                hint = f"; {name} is a share of {rule['share']}: 0.05 is a twentieth" if "share" in rule else ""
                raise ConfigError(f"{name}={value}: must be at most {rule['high']}{hint}")
            if "above" in rule and not part > rule["above"]:
                raise ConfigError(f"{name}={value}: must be greater than {rule['above']}")
        if any(isinstance(v, int) and abs(v) > MOST for v in numbers):
            raise ConfigError(f"{name}={value}: must be at most {MOST}")
