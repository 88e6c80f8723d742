"""Old configs as new ones: what a stored config.yaml, or an old row's passport, called its keys. The newest version is 2.

Version 1 (until November 2026) had one table of keys for all kinds of a group; a key of another kind lay there unused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .registry import named

VERSION = 2
GROUP = {"unet": "net"}  # in version 1 -> now
RENAMED = {  # in version 1 -> now
    "sampler": {"name": "kind"},
    "guidance": {"apg_eta": "eta", "apg_norm": "norm", "apg_momentum": "momentum"},
    "features": {"features_weights": "weights", "features_model": "model"},
}
USUAL = {  # the kind that was not said
    "data": "still_life",
    "sampler": "euler",
    "guidance": "cfg",
    "net": "small",
    "autoencoder": "small",
}
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
    groups = {GROUP.get(key, key): value for key, value in old.items()}
    return {"version": VERSION, **{group: _table(group, value) for group, value in groups.items()}}


def upgraded_passport(old: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row's passport in today's words; one that names its metrics is of today."""
    if "metrics" in old:
        return dict(old)
    now = {**{key: _table(key, value) for key, value in old.items()}, "metrics": {name: {} for name in METRICS}}
    if "guidance" in old:  # the convention is no key of a guider
        now["guidance"]["convention"] = old["guidance"]["convention"]
    return now


def _table(group: str, keys: Any) -> Any:
    """A group's table in today's words, without the keys of other kinds."""
    if not isinstance(keys, Mapping):
        return keys
    if group in ("tracking", "evaluation"):
        return _tracking(keys) if group == "tracking" else _evaluation(keys)
    if group not in (*USUAL, "text", "features"):
        return keys
    renamed: Mapping[str, str] = RENAMED.get(group, {})
    now: dict[str, Any] = {renamed.get(key, key): value for key, value in keys.items()}
    now.setdefault("kind", USUAL.get(group) or _text_encoder(now))
    if more := now.get("more"):  # of a text encoder
        now["more"] = [_table(group, part) for part in more]
    own = named(group, now["kind"]).__dataclass_fields__  # type: ignore[attr-defined]
    return {key: value for key, value in now.items() if key in own}


def _tracking(keys: Mapping[str, Any]) -> dict[str, Any]:
    """tracking.mlflow_uri is the uri of the tracker mlflow."""
    now = {key: value for key, value in keys.items() if key != "mlflow_uri"}
    if uri := keys.get("mlflow_uri"):
        now["also"] = [{"kind": "mlflow", "uri": uri} if name == "mlflow" else name for name in keys.get("also", [])]
    return now


def _text_encoder(keys: Mapping[str, Any]) -> str:
    """What `text`, which had no kinds, was of these keys: a model by name, a folder where its weights are one, or ours."""
    if keys.get("model"):
        return "open_clip"
    return "folder" if os.path.isdir(keys.get("weights") or "") else "small"


def _evaluation(keys: Mapping[str, Any]) -> dict[str, Any]:
    """`features` was a name, beside the keys that are now its own."""
    now = {key: value for key, value in keys.items() if key not in RENAMED["features"]}
    if isinstance(keys.get("features"), str):
        beside = {key: keys[key] for key in RENAMED["features"] if key in keys}
        now["features"] = _table("features", {"kind": keys["features"], **beside})
    return now
