"""The features of a folder of pictures. Pictures are decoded in batches, and only their features are kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ...config.errors import ConfigError
from ...data.decode import BadPicture, decode, to_tensor
from ...data.incoming.ingest import Found, Listing, list_folder
from ...data.sample import LeftOut, left_out, nothing_usable, told
from ...data.shards import digest
from ...data.square import fit_square
from ...nets.text import Tower
from ...strings import counted
from ..extractors.imagenet import Classifier
from ..features import Extractor, judge_features

FEWEST = 4  # pictures of a set
PIXELS = 2**25  # of a batch: 96 MiB

Told = Callable[[int], None]  # is told how many pictures are done


@dataclass
class Eyes:
    """What looks at pictures. The tower sees centre squares of `size` pixels. `extract` (None: the tower's embedding serves) sees
    centre squares of `side` pixels, whole pictures if `side` is None, and the tower's squares if it is 0."""

    tower: Tower
    extract: Extractor | None
    size: int
    side: int | None = 0
    batch: int = 128


@dataclass
class PictureSet:
    """The features of N pictures, float32 [N, E] of the tower and [N, F] of the extractor, and their captions ("" for none).
    `passport` says which pictures they are, `contents` are the hashes of their files; `left` is what could not be used. `named`,
    float64 [N], says which pictures show what their captions name, if the extractor is a classifier."""

    embedding: Tensor
    features: Tensor
    captions: list[str]
    passport: dict[str, object]
    contents: list[str] = field(default_factory=list)
    left: list[LeftOut] = field(default_factory=list)
    named: Tensor | None = None

    def __len__(self) -> int:
        return len(self.embedding)

    @property
    def captioned(self) -> list[int]:
        """The numbers of the pictures that have a caption."""
        return [i for i, caption in enumerate(self.captions) if caption]


class Seen(NamedTuple):
    """A decoded picture: uint8 [3, S, S] for the tower, uint8 [3, H, W] for the extractor (None: the same), its caption, and the
    hash of its file."""

    square: Tensor
    shown: Tensor | None
    caption: str
    content: str


def listed(root: Path, word: str) -> Listing:
    """The pictures of a folder and its subfolders, with captions where there are some. `word` names the folder in errors. Raises
    ConfigError if there are fewer than FEWEST."""
    if not root.is_dir():
        raise ConfigError(f"{word}={root}: {'a file, not a folder of pictures' if root.exists() else 'no such folder'}")
    listing = list_folder(root, bare=True)
    if not listing.found:
        raise ConfigError(f"{word}={root}: no picture in it; {nothing_usable(listing.left)}")
    _check_enough(len(listing.found), listing.left, root, word)
    return listing


def _check_enough(count: int, left: Sequence[LeftOut], root: Path, word: str) -> None:
    if count < FEWEST:
        why = f" (left out: {told(left)})" if left else ""
        are = "is" if count == 1 else "are"
        raise ConfigError(
            f"{word}={root}: {counted(count, 'picture')} {are} too few to measure, {FEWEST} are needed{why}"
        )


@torch.no_grad()
def read_folder(root: Path, listing: Listing, eyes: Eyes, word: str, done: Told = lambda count: None) -> PictureSet:
    """Decode the pictures of a listing and compute their features. A picture that cannot be decoded is left out. Raises
    ConfigError if fewer than FEWEST are left."""
    left: list[LeftOut] = list(listing.left)
    parts: list[tuple[Tensor, Tensor]] = []
    captions: list[str] = []
    contents: list[str] = []
    embed = judge_features(eyes.tower)
    for batch in _batches(_decoded(root, listing.found, eyes, left, done), eyes.batch):
        embedding = embed(torch.stack([one.square for one in batch]))
        features = embedding
        if eyes.extract is not None:
            features = by_size([one.square if one.shown is None else one.shown for one in batch], eyes.extract)
        parts.append((embedding, features))
        captions += [one.caption for one in batch]
        contents += [one.content for one in batch]
    _check_enough(len(captions), left, root, word)
    passport = {
        "folder": root.resolve().name,
        "n": len(captions),
        "sha256": digest(sorted(contents)),
        "captioned": sum(map(bool, captions)),
    }
    embedding, features = (torch.cat(column) for column in zip(*parts, strict=True))
    named = eyes.extract.finds(features, captions) if isinstance(eyes.extract, Classifier) else None
    return PictureSet(embedding, features, captions, passport, contents, left, named)


def _decoded(root: Path, found: Sequence[Found], eyes: Eyes, left: list[LeftOut], done: Told) -> Iterator[Seen]:
    """The pictures in order; those that cannot be decoded go into the list `left`. Few are decoded ahead."""
    ahead = max(2, os.cpu_count() or 1)
    with ThreadPoolExecutor(ahead) as pool:
        for start in range(0, len(found), ahead):
            some = found[start : start + ahead]
            for one, seen in zip(some, pool.map(partial(_seen, eyes=eyes), some), strict=True):
                if isinstance(seen, Seen):
                    yield seen
                else:
                    left.append(left_out(str(root), one.place, seen[0], remedy=seen[1]))
            done(start + len(some))


def _seen(one: Found, eyes: Eyes) -> Seen | tuple[str, str]:
    """A picture, or why there is none: (reason, remedy)."""
    try:
        data = one.path.read_bytes()
        small = decode(data, eyes.size)
        shown = None
        if eyes.extract is not None and eyes.side != 0:
            whole = small if small.picture.size == (small.width, small.height) else decode(data)
            shown = to_tensor(fit_square(whole.picture, eyes.side) if eyes.side else whole.picture)
    except BadPicture as e:
        return e.reason, e.remedy
    except OSError:
        return "not readable", ""
    caption = one.captions[0] if one.captions else ""
    return Seen(to_tensor(small.square(eyes.size)), shown, caption, hashlib.sha256(data).hexdigest())


def _batches(seen: Iterator[Seen], most: int) -> Iterator[list[Seen]]:
    """Batches of at most `most` pictures, and of about PIXELS pixels."""
    batch: list[Seen] = []
    pixels = 0
    for one in seen:
        batch.append(one)
        pixels += (one.square if one.shown is None else one.shown)[0].numel()
        if len(batch) == most or pixels >= PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def by_size(images: Sequence[Tensor], extract: Extractor) -> Tensor:
    """The features [B, F] of pictures of unlike sizes, uint8 [3, H, W] each. Those of equal size are looked at together."""
    found: dict[int, Tensor] = {}
    for shape in dict.fromkeys(image.shape for image in images):
        places = [i for i, image in enumerate(images) if image.shape == shape]
        found |= dict(zip(places, extract(torch.stack([images[i] for i in places])), strict=True))
    return torch.stack([found[i] for i in range(len(images))])
