"""What the weights that a run starts from say of their objective and of their steps: they set the keys that the command does not
name. A command that names another value is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...files import is_safetensors
from ..errors import ConfigError
from .laws import read_json
from .scheduler import Said, scheduler_words

OURS = "lightning_diff.configs"  # the metadata of the single files that this project writes: the configs of all parts
MOST = 100 << 20  # bytes of a safetensors header; the format allows no more


def safetensors_header(file: Path) -> dict[str, Any]:
    """The table at the beginning of a safetensors file: {tensor: its shape and type}, and __metadata__. Raises ConfigError."""
    with file.open("rb") as f:
        length = int.from_bytes(f.read(8), "little")
        try:
            found = json.loads(f.read(min(length, MOST)))
        except ValueError as e:
            raise ConfigError(f"{file}: a damaged safetensors file ({e}); copy it again") from e
    return found if isinstance(found, dict) else {}


def said_by(path: Path) -> Said | None:
    """What the model at that path (a folder or a single file) says; None if it says nothing. Raises ConfigError."""
    if path.is_dir():
        for folder in (path, path.parent):
            file = folder / "scheduler" / "scheduler_config.json"
            if file.is_file() and (folder == path or (path / "config.json").is_file()):
                return scheduler_words(read_json(file), file)
        return None
    if not path.is_file() or not is_safetensors(path):
        return None
    header = safetensors_header(path)
    metadata = header.get("__metadata__", {})
    if OURS in metadata and (config := json.loads(metadata[OURS]).get("scheduler")):
        return scheduler_words(config, f"{path} (metadata)")
    keys = {}
    predicted = metadata.get("modelspec.prediction_type")
    if predicted in ("v", "epsilon") or "v_pred" in header:  # v_pred and ztsnr: marks of ComfyUI and others
        keys["objective.prediction"] = "v" if predicted == "v" or "v_pred" in header else "eps"
        keys["objective.schedule"] = "scaled_linear" + ("_zero" if "ztsnr" in header else "")
    return Said(keys, str(path)) if keys else None


def ignored_starts(c: Any) -> Iterator[tuple[str, bool, bool, str]]:
    """For each key that says how to start from weights: (its name, whether it is given, whether it has an effect, what it
    belongs to)."""
    started = c.init_from is not None and c.task == "diffusion"
    given = {"scheduler": c.init_scheduler != "kept", "average": c.init_average != "raw", "lora": bool(c.init_lora)}
    for name, said in given.items():
        yield f"init_{name}", said, started, "init_from=WEIGHTS of another project, task=diffusion"


def own_words(node: Any, overrides: Sequence[str]) -> list[str]:
    """The overrides that the weights of `init_from` add to a command, for the composed config `node`. Raises ConfigError if the
    command names another value."""
    start = node.get("init_from")
    if not isinstance(start, str) or not os.path.exists(start):
        return []
    if node.get("task") != "diffusion" or node.get("init_scheduler") != "kept":
        return []
    said = said_by(Path(start))
    if said is None:
        return []
    named = {word.partition("=")[0].lstrip("+") for word in overrides}
    added = []
    for key, value in said.keys.items():
        group, name = key.split(".")
        given = node.get(group)
        now = given.get(name) if hasattr(given, "get") else None
        if now is None or str(now) == value:
            continue
        if key == "sampler.grid" and key in named:  # how to draw is free
            continue
        if key in named or (group == "objective" and group in named):
            raise ConfigError(
                f"{key}={now}: {said.where} says {key}={value}; say that, or init_scheduler=changed to train the weights "
                "to another objective"
            )
        added.append(f"{key}={value}")
    if any(word.startswith("objective.") for word in added) and "objective" not in named:  # as such nets are trained
        usual = {"objective.times": "uniform", "objective.shift": "1", "objective.shift_end": "null"}
        added += [f"{key}={value}" for key, value in usual.items() if key not in named]
    return added
