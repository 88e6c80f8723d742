"""What may not be asked for, alone or together (law 5): one line that says what, where and how to mend it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from .combinations import combinations
from .errors import ConfigError
from .ignored import ignored
from .registry import Choice, conflicts
from .schema import Config

MOST = 2**53  # of any whole number


def keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of the schema."""
    for f in fields(node):
        yield prefix + f.name
        value = getattr(node, f.name)
        if is_dataclass(value):
            yield from keys(value, f"{prefix}{f.name}.")


def single_groups(node: Any) -> set[str]:
    """The groups of which one choice stands in the config, and is chosen with group=name; of others a list stands there."""
    found = {f.metadata["group"] for f in fields(node) if "group" in f.metadata and "many" not in f.metadata}
    inner = [getattr(node, f.name) for f in fields(node)]
    return found.union(*(single_groups(value) for value in inner if is_dataclass(value)))


def check(config: Config) -> None:
    """Raises ConfigError for the first value that is out of range or for a combination that means nothing."""
    check_values(config)
    for name, belongs in ignored(config):
        raise ConfigError(f"{name}: would be ignored; it belongs to {belongs}")
    for wrong, message in combinations(config):
        if wrong:
            raise ConfigError(message)
    for made in all_choices(config):
        for message in conflicts(made, config):
            raise ConfigError(message)


def all_choices(node: Any) -> Iterator[Choice]:
    """Every choice of a config, wherever it stands."""
    for f in fields(node):
        value = getattr(node, f.name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, Choice):
                yield part
            if is_dataclass(part):
                yield from all_choices(part)


def check_values(node: Any, prefix: str = "") -> None:
    """Raises ConfigError for the first value of a dataclass that its metadata does not allow."""
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
        allowed = rule.get("allowed", rule.get("each", ()))
        for part in (numbers if "each" in rule else [value]) if allowed else ():
            if part in allowed:
                continue
            words = [str(a) for a in allowed]
            close = difflib.get_close_matches(str(part), words, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{name}={part}: must be one of {', '.join(words)}{hint}")
        for part in [n for n in numbers if n is not None] if {"low", "high", "above"} & set(rule) else []:
            if "low" in rule and not part >= rule["low"]:
                raise ConfigError(f"{name}={value}: must be at least {rule['low']}")
            if "high" in rule and not part <= rule["high"]:
                raise ConfigError(f"{name}={value}: must be at most {rule['high']}")
            if "above" in rule and not part > rule["above"]:
                raise ConfigError(f"{name}={value}: must be greater than {rule['above']}")
        if any(isinstance(v, int) and abs(v) > MOST for v in numbers):
            raise ConfigError(f"{name}={value}: must be at most {MOST}")
