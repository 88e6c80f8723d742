"""The frozen parts' work, done once: latents of the pictures and conditions of the captions, cached by what made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from ..data.cache import cached_arrays
from ..data.dataset import Arrays, Pictures
from ..data.decode import to_unit
from ..nets.autoencoder import LatentSpace
from ..nets.text import TextEncoder
from .run import console, first_rank

BLOCK = 256


def cached_features(
    train: Pictures, autoencoder: LatentSpace, tower: TextEncoder, hashes: Mapping[str, str], cache: Path
) -> Arrays:
    """mean and std of each picture's posterior, tokens, mask and pooled of each caption; float16 but for the mask.

    `hashes` names the weights. Nothing random is in the cache: the posterior's sample, the noise and the caption's
    dropout are drawn in training.
    """
    data = {"pictures": train.index.fingerprint(), "image_size": train.image_size}
    latents = cached_arrays(
        cache / "latents",
        {**data, "autoencoder": hashes["autoencoder"], "resize": "lanczos"},
        len(train),
        lambda: _latents(train, autoencoder),
    )
    conditions = cached_arrays(
        cache / "captions", {**data, "text": hashes["text"]}, len(train), lambda: _conditions(train, tower)
    )
    return Arrays({**latents, **conditions})


def _blocks(train: Pictures, what: str) -> Iterator[int]:
    starts = range(0, len(train), BLOCK)
    yield from track(starts, what, console=console, transient=True) if first_rank() else starts


@torch.no_grad()
def _latents(train: Pictures, net: LatentSpace) -> Iterator[dict[str, np.ndarray]]:
    for start in _blocks(train, "latents"):
        images = train.range(start, start + BLOCK).images
        p = net.encode(to_unit(images).to(net.shift.device))
        yield {"mean": p.mean.half().cpu().numpy(), "std": p.std.half().cpu().numpy()}


@torch.no_grad()
def _conditions(train: Pictures, tower: TextEncoder) -> Iterator[dict[str, np.ndarray]]:
    for start in _blocks(train, "captions"):
        c = tower.condition([train.reader.read(i)[1] for i in range(start, min(start + BLOCK, len(train)))])
        yield {
            "tokens": c.tokens.half().cpu().numpy(),
            "mask": c.mask.cpu().numpy(),
            "pooled": c.pooled.half().cpu().numpy(),
        }
