"""Old configs as new ones: what a stored config.yaml, or an old row's passport, called its keys. The newest version is 2.

Version 1 (until November 2026) had one table of keys for all kinds of a group; a key of another kind lay there unused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .registry import named

VERSION = 2
RENAMED: dict[str, dict[str, str]] = {  # in version 1 -> now
    "data": {},
    "sampler": {"name": "kind"},
    "guidance": {"apg_eta": "eta", "apg_norm": "norm", "apg_momentum": "momentum"},
}


def upgraded(old: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config in today's words; one of today's stays as it is."""
    if old.get("version", 1) >= VERSION:
        return dict(old)
    return {"version": VERSION, **{key: _group(key, value) for key, value in old.items()}}


def _group(group: str, keys: Any) -> Any:
    """A group's table in today's words, without the keys of other kinds."""
    if group == "tracking" and isinstance(keys, Mapping):
        return _tracking(keys)
    if group not in RENAMED or not isinstance(keys, Mapping):
        return keys
    now = {RENAMED[group].get(key, key): value for key, value in keys.items()}
    if "kind" not in now:
        return now
    own = named(group, now["kind"]).__dataclass_fields__  # type: ignore[attr-defined]
    return {key: value for key, value in now.items() if key in own}


def _tracking(keys: Mapping[str, Any]) -> dict[str, Any]:
    """tracking.mlflow_uri is the uri of the tracker mlflow."""
    now = {key: value for key, value in keys.items() if key != "mlflow_uri"}
    if uri := keys.get("mlflow_uri"):
        now["also"] = [{"kind": "mlflow", "uri": uri} if name == "mlflow" else name for name in keys.get("also", [])]
    return now
