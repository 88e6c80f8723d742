"""Weights files: safetensors whose metadata holds a passport. The net is built again from its passport.

Safetensors hold only numbers: nothing in them can be executed (law 8). The passport also holds the sum of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..config.errors import ConfigError
from ..files import whole_file
from .files.arrays import has_arrays as has_arrays
from .files.arrays import read_arrays as read_arrays
from .files.arrays import save_arrays as save_arrays
from .files.sealed import DamagedFile, check_sum, metadata, seal
from .files.sealed import is_whole as is_whole


def save_weights(path: Path, state: Mapping[str, Tensor], passport: Mapping[str, Any], half: bool = False) -> None:
    """Write the weights to a temporary file, flush it and rename it. `half` stores float32 as float16."""
    tensors = {
        name: (t.half() if half and t.dtype == torch.float32 else t).detach().cpu().contiguous()
        for name, t in state.items()
    }
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata=metadata(passport))
        seal(partial)


def has_passport(path: Path) -> bool:
    """Whether this project made the file. Raises ConfigError if it is not a safetensors file."""
    try:
        with safe_open(path, framework="pt") as f:
            return "passport" in (f.metadata() or {})
    except Exception as e:
        raise ConfigError(f"{path}: not a safetensors file ({type(e).__name__})") from e


def read_passport(path: Path) -> dict[str, Any]:
    """The passport of a weights file. Raises ConfigError if the file has none, or is damaged."""
    check_sum(path)
    try:
        with safe_open(path, framework="pt") as f:
            passport = json.loads((f.metadata() or {})["passport"])
    except Exception as e:
        raise ConfigError(
            f"{path}: not weights with a passport ({type(e).__name__}); make them with this project"
        ) from e
    if not isinstance(passport, dict):
        raise ConfigError(f"{path}: its passport is not a table")
    for key, kind in (("part", str), ("net", dict)):
        if not isinstance(passport.get(key, kind()), kind):
            raise ConfigError(
                f"{path}: its passport says {key}: {str(passport[key])[:60]}; make the file with this project"
            )
    passport.pop("sum", None)
    return passport


def shapes_in(path: Path) -> dict[str, list[int]]:
    """The shapes of a file's tensors, by name. Raises DamagedFile."""
    try:
        with safe_open(path, framework="pt") as f:
            return {name: list(f.get_slice(name).get_shape()) for name in f.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as e:
        raise DamagedFile(path, "not whole safetensors") from e


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Floating-point tensors become float32. Raises DamagedFile; ConfigError for NaN and inf."""
    check_sum(path)
    try:
        with safe_open(path, framework="pt") as f:
            state = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as e:
        raise DamagedFile(path, "not whole safetensors") from e
    state = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    refuse_infinite(state, path)
    return state


def refuse_infinite(state: Mapping[str, Tensor], path: Path) -> None:
    """Raises ConfigError, which names the first of them, if a tensor that was read from `path` has NaN or inf."""
    bad = [name for name, t in state.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if bad:
        many = f" and {len(bad) - 1} more tensors" if len(bad) > 1 else ""
        raise ConfigError(f"{path}: {bad[0]}{many} with NaN or inf; the file is damaged, or overflowed in float16")


def load_into(net: nn.Module, path: Path) -> None:
    """Load a file's weights into the net. Raises ConfigError when they belong to another architecture."""
    load_state(net, read_state(path), path)


def load_state(net: nn.Module, state: Mapping[str, Tensor], path: Path, hint: str = "") -> None:
    """Load a state, which was read from `path`, into the net. Raises ConfigError, with a hint how to correct it, when the
    state belongs to another architecture."""
    wanted = net.state_dict()
    wrong = [f"no {n} in it" for n in wanted if n not in state]
    wrong += [f"{n}, which this net does not have" for n in state if n not in wanted]
    wrong += [
        f"{n} is {list(state[n].shape)}, here {list(t.shape)}"
        for n, t in wanted.items()
        if n in state and state[n].shape != t.shape
    ]
    wrong += [
        f"{n} holds {str(state[n].dtype).removeprefix('torch.')}, here {str(t.dtype).removeprefix('torch.')}"
        for n, t in wanted.items()
        if n in state and state[n].is_floating_point() != t.is_floating_point()
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ConfigError(f"{path}: not weights of this architecture{hint}: {wrong[0]}{more}")
    net.load_state_dict(state)
