"""Loading of the model in a run folder, or of the shipped model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from ..config.errors import ConfigError
from ..config.paths import PARTS, WEIGHTS
from ..config.schema import EMA_GUIDE
from ..diffusion.guiders.base import Guider
from ..diffusion.path import Path as DiffusionPath
from ..diffusion.samplers.base import Sampler
from ..nets.text import Tower, reading_of
from ..nets.weights import load_into, read_passport
from .averages import last_snapshot, reconstruct
from .build import NET_PARTS, build, load_part, null_condition
from .latent_diffusion import LatentDiffusion
from .passports import check_passport


def load_net(folder: Path, source: str, device: str, compiled: bool = False) -> Any:
    """A run's net, frozen. `source` is a weights file, or ema:LENGTH@STEP for this run's post-hoc EMA. Raises ConfigError."""
    wanted = re.fullmatch(EMA_GUIDE, source)
    path = folder / WEIGHTS if wanted else Path(source)
    passport = read_passport(path)
    if passport.get("part") not in NET_PARTS:
        raise ConfigError(f"{path}: its passport says {passport.get('part')!r}, not 'net'")
    check_passport(passport, path, build)
    net: Any = build(passport)
    load_into(net, path)
    if wanted:
        net.load_state_dict(reconstruct(folder, float(wanted[1]), int(wanted[2])), strict=False)
    if compiled:
        net.compile()
    return net.to(device, memory_format=torch.channels_last).requires_grad_(False).eval()


def load_model(
    folder: Path,
    path: DiffusionPath,
    sampler: Sampler,
    guider: Guider,
    image_size: int,
    device: str,
    null: str = "empty",
    ema: float = 0.0,
    compiled: bool = False,
) -> LatentDiffusion:
    """The model of a run folder (or the shipped model) with its averaged weights. If `ema` > 0, it has the weights of a post-hoc
    EMA of that length at the run's end. `null` is the kind of null condition, unless the net has learned its own. Raises
    ConfigError.
    """
    guide = getattr(guider, "guide", None)
    if guide and not re.fullmatch(EMA_GUIDE, guide):
        _check_guide(folder / WEIGHTS, Path(guide))
    source = f"ema:{ema:g}@{last_snapshot(folder)}" if ema else str(folder / WEIGHTS)
    net = load_net(folder, source, device, compiled)
    worse = load_net(folder, guide, device, compiled) if guide else None
    autoencoder = load_part(folder / PARTS / "autoencoder.safetensors").to(device)
    tower = _load_tower(folder).to(device)
    empty = net.null() if hasattr(net, "null") else null_condition(null, tower)
    sampler = sampler.resolve_nfe(guider, path)
    return LatentDiffusion(autoencoder, tower, net, path, empty, sampler, guider, image_size, worse)


def _load_tower(folder: Path) -> Any:
    """The tower of a run. The shipped one's file names no layer, for nets that read any layer are trained with it: its net's
    passport says which."""
    path = folder / PARTS / "text.safetensors"
    tower = load_part(path)
    silent = isinstance(tower, Tower) and "layer" not in read_passport(path)["net"]
    if silent and (reading := _reading(folder / WEIGHTS)):
        tower.read_at(*reading)
    return tower


def _reading(weights: Path) -> tuple[int, bool] | None:
    """The layer of a tower that a net was trained to read, and whether through the final norm; None if its passport has no
    config."""
    text = read_passport(weights).get("config", {}).get("text")
    return reading_of(text) if text else None


def _check_guide(weights: Path, guide: Path) -> None:
    """Raises ConfigError for a guide that reads captions otherwise: the tower's tokens are given to both nets."""
    ours, theirs = _reading(weights), _reading(guide)
    if ours and theirs and ours != theirs:
        names = ["text.layer={} text.final_norm={}".format(*reading).lower() for reading in (theirs, ours)]
        raise ConfigError(
            f"guidance.guide={guide}: its net reads {names[0]}, the run's {names[1]}; give one that reads as it"
        )
