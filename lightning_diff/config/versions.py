"""Old configs as new ones: what a stored config.yaml, or an old row's passport, called its keys. The newest version is 2.

Version 1 (until November 2026) had one table of keys for all kinds of a group; a key of another kind lay there unused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .registry import named

VERSION = 2
RENAMED = {  # in version 1 -> now
    "sampler": {"name": "kind"},
    "guidance": {"apg_eta": "eta", "apg_norm": "norm", "apg_momentum": "momentum"},
    "features": {"features_weights": "weights", "features_model": "model"},
}
USUAL = {"sampler": "euler", "guidance": "cfg"}  # the kind that was not said
METRICS = (
    "fid",
    "kid",
    "cmmd",
    "precision_recall",
    "diversity",
    "clip_score",
    "attributes",
)  # of every row of version 1


def upgraded(old: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config in today's words; one of today's stays as it is."""
    if old.get("version", 1) >= VERSION:
        return dict(old)
    now = {"version": VERSION, **{key: _group(key, value) for key, value in old.items()}}
    if isinstance(now.get("evaluation"), Mapping):
        now["evaluation"] = _evaluation(now["evaluation"])
    return now


def upgraded_passport(old: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row's passport in today's words; one that names its metrics is of today."""
    if "metrics" in old:
        return dict(old)
    now = {**{key: _group(key, value) for key, value in old.items()}, "metrics": {name: {} for name in METRICS}}
    if "guidance" in old:  # the convention is no key of a guider
        now["guidance"]["convention"] = old["guidance"]["convention"]
    return now


def _group(group: str, keys: Any) -> Any:
    """A group's table in today's words, without the keys of other kinds."""
    if group not in RENAMED or not isinstance(keys, Mapping):
        return keys
    now = {RENAMED[group].get(key, key): value for key, value in keys.items()}
    now.setdefault("kind", USUAL.get(group))
    own = named(group, now["kind"]).__dataclass_fields__  # type: ignore[attr-defined]
    return {key: value for key, value in now.items() if key in own}


def _evaluation(keys: Mapping[str, Any]) -> dict[str, Any]:
    """`features` was a name, beside the keys that are now its own."""
    now = {key: value for key, value in keys.items() if key not in RENAMED["features"]}
    if isinstance(keys.get("features"), str):
        beside = {key: keys[key] for key in RENAMED["features"] if key in keys}
        now["features"] = _group("features", {"kind": keys["features"], **beside})
    return now
