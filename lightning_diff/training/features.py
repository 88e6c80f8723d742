"""Cached features: the frozen components compute the latents of the pictures and the conditions of the captions once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from ..data.cache import Watch, cached_arrays
from ..data.dataset import CachedFeatures, Pictures, pictures
from ..data.decode import to_unit
from ..data.sources.base import Source
from ..files import file_hash
from ..models.build import load_part
from ..nets.autoencoder import LatentSpace
from ..nets.text import TextEncoder
from ..ranks import console, first_rank, share_of


def manifests(train: Pictures, hashes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """For each of the two caches, by the name of its folder: all that its content depends on."""
    data = {"pictures": train.index.fingerprint(), "image_size": train.image_size}
    return {
        "latents": {**data, "autoencoder": hashes["autoencoder"], "resize": "lanczos"},
        "captions": {**data, "text": hashes["text"]},
    }


@dataclass(frozen=True)
class Frozen:
    """The frozen nets, the hashes of their weights, and the features of the training set."""

    autoencoder: LatentSpace
    tower: TextEncoder
    hashes: dict[str, str]
    features: CachedFeatures


def frozen_nets(source: Source, cache: Path, parts: Path, device: str) -> Frozen:
    """The frozen nets from the weights in the folder `parts`, on a device, with the cached features of the training set. The
    cache is filled first. It holds mean and std of each picture's posterior, and tokens, mask and pooled output of each
    caption, as float16 except for the mask. It holds nothing random: training draws the posterior's sample, the noise and the
    caption dropout."""
    files = {part: parts / f"{part}.safetensors" for part in ("autoencoder", "text")}
    hashes = {part: file_hash(path) for part, path in files.items()}
    autoencoder, tower = (load_part(path).to(device) for path in files.values())
    train = pictures(source, cache, "train")
    assert train is not None
    made_by = manifests(train, hashes)
    latents = cached_arrays(
        cache / "latents",
        made_by["latents"],
        len(train),
        lambda first, stop: _latents(train, autoencoder, first, stop),
        _shown("latents"),
        share_of(),
    )
    conditions = cached_arrays(
        cache / "captions",
        made_by["captions"],
        len(train),
        lambda first, stop: _conditions(train, tower, first, stop),
        _shown("captions"),
        share_of(),
    )
    features = CachedFeatures({**latents, **conditions}, train.index.keys.tolist())
    return Frozen(autoencoder, tower, hashes, features)


def _shown(what: str) -> Watch:
    return lambda work, total: track(work, what, total, console=console, transient=True) if first_rank() else work


@torch.no_grad()
def _latents(train: Pictures, net: LatentSpace, first: int, stop: int) -> dict[str, np.ndarray]:
    p = net.encode(to_unit(train.range(first, stop).images).to(net.shift.device))
    return {"mean": p.mean.half().cpu().numpy(), "std": p.std.half().cpu().numpy()}


@torch.no_grad()
def _conditions(train: Pictures, tower: TextEncoder, first: int, stop: int) -> dict[str, np.ndarray]:
    c = tower.condition([train.reader.read(i)[1] for i in range(first, stop)])
    return {
        "tokens": c.tokens.half().cpu().numpy(),
        "mask": c.mask.cpu().numpy(),
        "pooled": c.pooled.half().cpu().numpy(),
    }
