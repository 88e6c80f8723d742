"""Files of arrays that are made again if they are damaged."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...files import whole_file
from ...sums import state_of
from .sealed import DamagedFile, check_sum, metadata, seal

log = logging.getLogger(__name__)


def save_arrays(path: Path, arrays: Mapping[str, Tensor]) -> None:
    """Write tensors to a file without conversion. The file is complete or does not exist. It knows its name and its folder's."""
    with whole_file(path) as partial:
        tensors = {name: t.detach().cpu().contiguous() for name, t in arrays.items()}
        save_file(tensors, partial, metadata({"file": _own_name(path)}))
        seal(partial)


def _own_name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def read_arrays(path: Path) -> dict[str, Tensor]:
    """The tensors that `save_arrays` wrote. Raises DamagedFile, also for a file that took the place of another one."""
    check_sum(path)
    try:
        with safe_open(path, framework="pt") as f:
            said = json.loads((f.metadata() or {}).get("passport", "{}")).get("file", _own_name(path))
            if said != _own_name(path):
                raise DamagedFile(path, f"it is {said}")
            return {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, ValueError, AttributeError) as e:
        raise DamagedFile(path, "not whole safetensors") from e


@lru_cache(4096)
def _why_damaged(path: str, state: tuple[int, ...]) -> str:
    try:
        read_arrays(Path(path))
    except DamagedFile as e:
        return e.why
    return ""


def has_arrays(path: Path, remove: bool = False) -> bool:
    """Whether the arrays in a file are there and as they were written. If they are damaged, it says so in a warning, and may
    `remove` the file, so that it is made again."""
    try:
        why = _why_damaged(os.fspath(path.absolute()), state_of(path))
    except FileNotFoundError:
        return False
    if why:
        log.warning("%s: damaged (%s); %s", path, why, "it is made again" if remove else "it is passed over")
        if remove:
            path.unlink(missing_ok=True)
    return not why
