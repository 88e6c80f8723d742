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
from ..nets.text import Tower
from ..nets.weights import load_into, read_passport
from .averages import last_snapshot, reconstruct
from .build import NET_PARTS, build, load_part, null_condition
from .latent_diffusion import LatentDiffusion
from .passports import check_passport
from .text_encoders.base import TextEncoderSpec


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
    text: TextEncoderSpec,
    ema: float = 0.0,
    compiled: bool = False,
) -> LatentDiffusion:
    """The model of a run folder (or the shipped model) with its averaged weights. If `ema` > 0, it has the weights of a post-hoc
    EMA of that length at the run's end. `text` is the run's: it says how the net reads the tower (the shipped tower's file does
    not, because nets of all kinds are trained with it), and which null condition there is, unless the net has learned its own.
    Raises ConfigError.
    """
    source = f"ema:{ema:g}@{last_snapshot(folder)}" if ema else str(folder / WEIGHTS)
    net = load_net(folder, source, device, compiled)
    guide = getattr(guider, "guide", None)
    worse = load_net(folder, guide, device, compiled) if guide else None
    autoencoder, tower = (
        load_part(folder / PARTS / f"{part}.safetensors").to(device) for part in ("autoencoder", "text")
    )
    if isinstance(tower, Tower):  # several have their layers in their file
        tower.read_at(text.layer, text.final_norm)
    empty = net.null() if hasattr(net, "null") else null_condition(text.null, tower)
    sampler = sampler.resolve_nfe(guider, path)
    return LatentDiffusion(autoencoder, tower, net, path, empty, sampler, guider, image_size, worse)
