"""Cached features: the frozen components compute the latents of the pictures and the conditions of the captions once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config.errors import ConfigError
from ..cores import on_cores
from ..data.cached.cache import Compute, Watch, cached_arrays, missing_rows
from ..data.cached.choosing import Bytes, latent_bytes, text_bytes
from ..data.cached.latents import CachedLatents
from ..data.cached.rows import Rows
from ..data.dataset import CachedFeatures, Pictures, pictures
from ..data.decode import DECODING, BadPicture, to_unit
from ..data.index import Index
from ..data.sources.base import Source
from ..files import file_hash
from ..models.build import load_part
from ..nets.autoencoder import LatentSpace
from ..nets.text import TextEncoder
from ..progress import tracked
from ..ranks import say, share_of

ROWS = 32  # samples in each call of a net, of pictures up to LARGE pixels wide
LARGE = 128
KINDS = ("latents", "captions")  # the two caches, by the names of their folders


def rows_of(image_size: int) -> int:
    """The pictures in each call of the autoencoder: fewer large ones, so that the activations stay within the memory. Stable
    Diffusion's needs 646 MiB for a picture of 512 pixels."""
    return max(1, min(ROWS, ROWS * LARGE**2 // image_size**2))


def manifests(train: Pictures, hashes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """For each cache: all that its content depends on, besides the pictures and captions themselves."""
    square = {"image_size": train.image_size, **({"fit": "pad"} if train.fit == "pad" else {})}
    return {
        "latents": {
            "autoencoder": hashes["autoencoder"],
            **square,
            "decoding": DECODING,
            "rows": rows_of(train.image_size),
            "memory": "channels_last",  # another order of memory gives other last bits
        },
        "captions": {"text": hashes["text"], "rows": ROWS},
    }


def digests(train: Pictures) -> dict[str, np.ndarray]:
    """For each cache: digests of the contents, uint8 [M, 16], of the pictures and of all captions."""
    return {"latents": train.index.facts.pictures, "captions": train.index.facts.captions}


def missing_features(train: Pictures, cache: Path, hashes: Mapping[str, str]) -> dict[str, int]:
    """For each cache: the number of features that would have to be computed."""
    made_by, keys = manifests(train, hashes), digests(train)
    return {kind: missing_rows(cache / kind, made_by[kind], keys[kind]) for kind in KINDS}


@dataclass(frozen=True)
class Frozen:
    """The frozen nets, the hashes of their weights, and the training set: its cached features or pictures, and its `index`."""

    autoencoder: LatentSpace
    tower: TextEncoder
    hashes: dict[str, str]
    train: CachedFeatures | CachedLatents | Pictures
    index: Index


def frozen_nets(source: Source, cache: Path, parts: Path, device: str, seed: int = 0) -> Frozen:
    """The frozen nets from the weights in the folder `parts`, on a device, with the training set: its pictures if the
    source's features are made online, else their cached features, or cached latents with texts. The cache is filled first. It
    holds mean and std of each picture's posterior, and tokens, mask and pooled output of each caption, as float16 except for the
    mask. It holds nothing random: training draws the posterior's sample, the noise and the caption dropout. `seed` is that of
    random crops."""
    files = {part: parts / f"{part}.safetensors" for part in ("autoencoder", "text")}
    hashes = {part: file_hash(path) for part, path in files.items()}
    autoencoder, tower = (load_part(path).to(device) for path in files.values())
    varied = source.features == "online" or bool(source.varied)
    train = pictures(source, cache, "train", framing=source.framing(seed) if varied else None)
    assert train is not None
    features = kind_of_features(source, train, autoencoder, tower)
    if features == "online":
        return Frozen(autoencoder, tower, hashes, train, train.index)
    made_by, keys = manifests(train, hashes), digests(train)

    def cached(kind: str, compute: Compute) -> dict[str, Rows]:
        return cached_arrays(cache / kind, made_by[kind], keys[kind], compute, _shown(kind), share_of())

    latents = cached("latents", lambda rows: _latents(train, autoencoder, rows))
    if features == "latents":
        return Frozen(autoencoder, tower, hashes, CachedLatents(latents, train.index, train.ordering), train.index)
    captions = cached("captions", lambda rows: _captions(train, tower, rows))
    first, keys_of = train.index.facts.first_caption, train.index.keys.tolist()
    found = CachedFeatures(latents, captions, first, keys_of, train.order)
    return Frozen(autoencoder, tower, hashes, found, train.index)


def kind_of_features(source: Source, train: Pictures, autoencoder: LatentSpace, tower: TextEncoder) -> str:
    """cached, latents or online. For `auto` it is chosen, and said."""
    if source.features != "auto":
        return source.features
    if source.varied:
        say(f"data.features=auto: each batch is encoded in its step (online), because of {source.varied}")
        return "online"
    with torch.no_grad():
        null = tower.condition([""])
    side, tokens = (
        train.image_size // autoencoder.factor,
        text_bytes(*(x.numel() for x in (null.tokens, null.pooled, null.mask))),
    )
    each = latent_bytes(autoencoder.latent_channels, side, autoencoder.exact)
    found = Bytes(len(train), int(train.index.facts.counts.sum()), each, tokens)
    say(found.said())
    return found.chosen()


def _shown(what: str) -> Watch:
    return lambda work, total: tracked(work, what, total)


def calls(count: int, each: int = ROWS) -> Iterator[tuple[list[int], int]]:
    """The calls of a net for `count` samples: the samples of each call, and how many of them are new. On a CPU the bits of a
    row depend on the number of rows, so each call has `each` of them; the last sample fills it up. With that number fixed,
    they depend neither on the other rows nor on the place among them."""
    for first in range(0, count, each):
        some = list(range(first, min(first + each, count)))
        yield some + some[-1:] * (each - len(some)), len(some)


def _picture(train: Pictures, i: int) -> Tensor:
    """Picture i, uint8 [3, H, W]. Raises ConfigError if it cannot be decoded any more."""
    try:
        return train.square(train.reader.picture(i))
    except BadPicture as e:
        raise ConfigError(f"{train.name(i)}: {e}; it could be read when the set was prepared; mend it") from e


def held_out_features(source: Source, cache: Path, frozen: Frozen, count: int) -> dict[str, Tensor]:
    """The features of the first `count` samples of the test split, with their positions; {} if there is no such split."""
    test = pictures(source, cache, "test")
    if test is None:
        return {}
    rows = np.arange(min(count, len(test)))
    first = test.index.facts.first_caption[rows]
    found = {**_latents(test, frozen.autoencoder, rows), **_captions(test, frozen.tower, first)}
    return {name: torch.from_numpy(values) for name, values in found.items()} | {"positions": torch.from_numpy(rows)}


def _latents(train: Pictures, net: LatentSpace, rows: np.ndarray) -> dict[str, np.ndarray]:
    device = net.shift.device

    def encode(some: tuple[list[int], int]) -> tuple[np.ndarray, np.ndarray]:
        call, new = some
        read = [_picture(train, int(rows[i])) for i in call[:new]]
        images = torch.stack(read + read[-1:] * (len(call) - new))
        p = net.encode(to_unit(images).to(device))
        mean, std = (x[:new].half().contiguous().cpu().numpy() for x in (p.mean, p.std))
        return mean, std

    found = on_cores(encode, list(calls(len(rows), rows_of(train.image_size))), device)
    means, stds = zip(*found, strict=True)
    return {"mean": np.concatenate(means), "std": np.concatenate(stds)}


def _captions(train: Pictures, tower: TextEncoder, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The features of the captions with these numbers, counted over all samples."""
    first = train.index.facts.first_caption
    owners = np.searchsorted(first, rows, side="right") - 1
    captions = [train.reader.captions(int(i))[row - first[i]] for i, row in zip(owners, rows, strict=True)]

    def read(some: tuple[list[int], int]) -> tuple[Tensor, Tensor, Tensor]:
        call, new = some
        c = tower.condition([captions[i] for i in call])
        return c.tokens[:new].half(), c.mask[:new], c.pooled[:new].half()

    found = on_cores(read, list(calls(len(rows))), next(tower.parameters()).device)
    tokens, mask, pooled = (torch.cat(some).cpu().numpy() for some in zip(*found, strict=True))
    return {"tokens": tokens, "mask": mask, "pooled": pooled}
