"""The model of a run folder, or of the shipped one, from its weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from ..config.errors import ConfigError
from ..config.paths import PARTS, WEIGHTS
from ..config.schema import EMA_GUIDE, Config
from ..devices import device_of
from ..nets.weights import load_into, read_passport
from .averages import last_snapshot, reconstruct
from .build import NET_PARTS, build, load_part, null_condition
from .latent_diffusion import TextToImage, path_of


def _load_net(config: Config, folder: Path, source: str) -> Any:
    """`source`: a weights file, or ema:LENGTH@STEP of this run's post-hoc averages. Raises ConfigError."""
    wanted = re.fullmatch(EMA_GUIDE, source)
    path = folder / WEIGHTS if wanted else Path(source)
    passport = read_passport(path)
    if passport.get("part") not in NET_PARTS:
        raise ConfigError(f"{path}: its passport says {passport.get('part')!r}, not 'net'")
    net: Any = build(passport)
    load_into(net, path)
    if wanted:
        net.load_state_dict(reconstruct(folder, float(wanted[1]), int(wanted[2])), strict=False)
    device = device_of(config.training)
    if config.training.compile:
        net.compile()
    return net.to(device, memory_format=torch.channels_last).requires_grad_(False).eval()


def load_model(config: Config, folder: Path, ema: float = 0.0) -> TextToImage:
    """The model of a run folder (or of the shipped one), with its averaged weights, or with those of a post-hoc EMA of
    length `ema` at the run's end. Raises ConfigError."""
    device = device_of(config.training)
    source = f"ema:{ema:g}@{last_snapshot(folder)}" if ema else str(folder / WEIGHTS)
    net = _load_net(config, folder, source)
    guide = getattr(config.guidance, "guide", None)
    worse = _load_net(config, folder, guide) if guide else None
    autoencoder, tower = (
        load_part(folder / PARTS / f"{part}.safetensors").to(device) for part in ("autoencoder", "text")
    )
    path, guider = path_of(config.objective), config.guidance
    sampler = config.sampler.resolve_nfe(guider, path)
    null = net.null() if hasattr(net, "null") else null_condition(config.text.null, tower)
    return TextToImage(net, path, autoencoder, tower, null, sampler, guider, config.data.image_size, worse)
