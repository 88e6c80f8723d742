"""Whether the numbers of several runs can stand on one axis (law 4); if not, which keys they differ in, and how to mend it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ...config.errors import ConfigError
from ...evaluation.results import STUDIED
from ...evaluation.setup import Passport
from ...evaluation.sweep import Row, unlike
from .differences import flat_values, short_value

# Field of a passport -> the key that sets it. The value of a field without a key (a sum, a version) is not said.
KEYS = {
    "prompts.n": "evaluation.samples",
    "seeds.first": "evaluation.seed",
    "reference.n": "data.test",
    "reference.fit": "data.fit",
    "judge.fid_features": "evaluation/features",
    "metrics": "evaluation.metrics",
}
WORDS = {
    "prompts": "captions",
    "reference": "real pictures",
    "judge": "judge",
    "drawing": "code that drew",
    "environment": "packages' versions",
}
MOST = 3  # fields in the message


def refuse_unlike(runs: Mapping[str, Sequence[Row]], typed: str = "") -> None:
    """Raises ConfigError, with the keys that differ and their values, if the numbers of these runs cannot be compared. `typed`
    is the argument that names the runs."""
    first = {name: rows[0]["passport"] for name, rows in runs.items() if rows}
    if not first or not (fields := unlike(list(first.values()), STUDIED)):
        return
    found: dict[str, list[Any]] = {}
    for field in fields:
        found |= _differing(field, list(first.values()))
    said = [_said(key, values, list(first)) for key, values in list(found.items())[:MOST]]
    names = typed.partition("=")[2] or ",".join(first)
    command = ["python", "evaluate.py", f"run={names}"]
    command += [f"evaluation.samples={max(found['evaluation.samples'])}"] if "evaluation.samples" in found else []
    raise ConfigError(
        f"{f'{typed}: ' if typed else ''}their numbers differ in {', '.join(said)} and cannot stand on one axis; measure them "
        f"alike: {shlex.join(command)}"
    )


def _differing(field: str, passports: Sequence[Passport]) -> dict[str, list[Any]]:
    """What differs in a field of these passports: {key of the config: its values}, or {words: []} if no key says it."""
    if field in KEYS:
        return {KEYS[field]: [list(passport.get(field, {})) for passport in passports]}
    flat = [flat_values({field: passport.get(field)}) for passport in passports]
    keys = {key: name for name, key in KEYS.items() if name.partition(".")[0] == field}
    found = {key: [values.get(name) for values in flat] for key, name in keys.items()}
    found = {key: values for key, values in found.items() if len({json.dumps(value) for value in values}) > 1}
    if field == "seeds" and not found:
        return {}  # their number is that of the captions
    return found or {f"the {WORDS.get(field, field)}": []}


def _said(key: str, values: Sequence[Any], names: Sequence[str]) -> str:
    """A key with its values, and the first run that has each: evaluation.samples (32 in a, 8 in b)."""
    firsts: dict[str, str] = {}
    for value, name in zip(values, names, strict=False):
        firsts.setdefault(short_value(value), name)
    return f"{key} ({', '.join(f'{value} in {name}' for value, name in firsts.items())})" if firsts else key
