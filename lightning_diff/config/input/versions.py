"""Upgrade of old configs: the keys of a stored config.yaml, or of an old row's passport, become today's keys.

Version 1 (until November 2026) had one table of keys for all kinds of a group; it also held unused keys of other kinds. Version 3
has the keys of version 2; presets choose other values since (pipeline/continuing/presets.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..registry import named

VERSION = 2  # the first one with today's keys
GROUP = {"unet": "net"}  # name in version 1 -> name now
RENAMED = {  # group: {key in version 1 -> key now}
    "sampler": {"name": "kind"},
    "guidance": {"apg_eta": "eta", "apg_norm": "norm", "apg_momentum": "momentum"},
    "features": {"features_weights": "weights", "features_model": "model"},
}
# The kind that version 1 meant if it named none.
USUAL = {"data": "still_life", "sampler": "euler", "guidance": "cfg", "net": "small", "autoencoder": "small"}
# What a config means that has no such key of a kind, because it is older: group -> kind -> {key: value}
MEANT: dict[str, dict[str, dict[str, Any]]] = {"net": {"uvit": {"after": 0, "rotary": False, "pooled": True}}}
# Every row of version 1 has these.
METRICS = ("fid", "kid", "cmmd", "precision_recall", "diversity", "clip_score", "attributes")


def upgraded(old: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config with today's keys. One of a version that has them gets those that came later, as it meant them."""
    if old.get("version", 1) >= VERSION:
        return {group: _complete(group, value) for group, value in old.items()}
    groups = {GROUP.get(key, key): value for key, value in old.items()}
    return {"version": VERSION, **{group: _table(group, value) for group, value in groups.items()}}


def _complete(group: str, keys: Any) -> Any:
    """A group's table with the keys of MEANT that it has not."""
    if group not in MEANT or not isinstance(keys, Mapping):
        return keys
    return {**MEANT[group].get(str(keys.get("kind")), {}), **keys}


def upgraded_passport(old: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row's passport with today's keys. A passport that names its metrics is new already."""
    if "metrics" in old:
        return dict(old)
    now = {**{key: _table(key, value) for key, value in old.items()}, "metrics": {name: {} for name in METRICS}}
    if "guidance" in old:  # the convention is not a key of the guider, so _table dropped it
        now["guidance"]["convention"] = old["guidance"]["convention"]
    return now


def _table(group: str, keys: Any) -> Any:
    """A group's table with today's keys, without the keys of other kinds."""
    if not isinstance(keys, Mapping):
        return keys
    if group in ("tracking", "evaluation"):
        return _tracking(keys) if group == "tracking" else _evaluation(keys)
    if group not in (*USUAL, "text", "features"):
        return keys
    renamed: Mapping[str, str] = RENAMED.get(group, {})
    now: dict[str, Any] = {renamed.get(key, key): value for key, value in keys.items()}
    now.setdefault("kind", USUAL.get(group) or _text_encoder(now))
    if more := now.get("more"):  # further text encoders
        now["more"] = [_table(group, part) for part in more]
    own = named(group, now["kind"]).__dataclass_fields__  # type: ignore[attr-defined]
    return {key: value for key, value in now.items() if key in own}


def _tracking(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The old key tracking.mlflow_uri becomes the key `uri` of the tracker mlflow."""
    now = {key: value for key, value in keys.items() if key != "mlflow_uri"}
    if uri := keys.get("mlflow_uri"):
        now["also"] = [{"kind": "mlflow", "uri": uri} if name == "mlflow" else name for name in keys.get("also", [])]
    return now


def _text_encoder(keys: Mapping[str, Any]) -> str:
    """The kind of an old `text` table, which had no kinds: an open_clip model, a folder, or our small encoder."""
    if keys.get("model"):
        return "open_clip"
    return "folder" if os.path.isdir(keys.get("weights") or "") else "small"


def _evaluation(keys: Mapping[str, Any]) -> dict[str, Any]:
    """In version 1 `features` was a name, and its keys were beside it; now it is a table."""
    now = {key: value for key, value in keys.items() if key not in RENAMED["features"]}
    if isinstance(keys.get("features"), str):
        beside = {key: keys[key] for key in RENAMED["features"] if key in keys}
        now["features"] = _table("features", {"kind": keys["features"], **beside})
    return now
