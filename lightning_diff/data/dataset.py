"""Datasets that return samples as tensors: decoded pictures with captions, or cached features of frozen nets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .decode import BadPicture, fit_square, open_picture, to_tensor
from .index import Index, ShardReader, build_index
from .rows import Rows
from .sources.base import Source

log = logging.getLogger(__name__)


@dataclass
class PictureBatch:
    """A batch. `images` uint8 [B, 3, H, W], `positions` int64 [B] in the stream, `labels` {head: int64 [B]}, -1 for unknown.
    A hard negative is almost the caption, but wrong for the picture; an empty string if there is none."""

    images: Tensor
    captions: list[str]
    positions: Tensor
    labels: dict[str, Tensor]
    hard_negatives: list[str]


class Pictures(Dataset[PictureBatch]):
    """Captioned pictures. A list of (position, sample) fetches a complete batch.

    A picture that cannot be decoded is named in the log and replaced by the next sample, so the order stays a pure
    function."""

    def __init__(self, index: Index, image_size: int, heads: Sequence[str] = ()) -> None:
        self.index, self.image_size, self.heads = index, image_size, tuple(heads)
        self.reader = ShardReader(index)

    def __len__(self) -> int:
        return len(self.index)

    def name(self, i: int) -> str:
        return str(self.index.keys[i])

    def read(self, i: int) -> tuple[Tensor, str, dict[str, int], str]:
        for step in range(len(self.index)):
            place = (i + step) % len(self.index)
            data, caption, record = self.reader.read(place)
            try:
                picture = fit_square(open_picture(data), self.image_size)
            except BadPicture as e:
                log.warning("skipped %s: %s", self.index.keys[place], e)
                continue
            labels = record.get("labels")
            negative = record.get("contrast")
            known = labels if isinstance(labels, dict) else {}
            return to_tensor(picture), caption, known, negative if isinstance(negative, str) else ""
        raise BadPicture("not one picture of the set can be decoded")

    def __getitems__(self, places: Sequence[tuple[int, int]]) -> PictureBatch:
        rows = [self.read(i) for _, i in places]
        known = [{h: v for h, v in r[2].items() if isinstance(v, int)} for r in rows]
        labels = {h: torch.tensor([k.get(h, -1) for k in known]) for h in self.heads}
        positions = torch.tensor([p for p, _ in places])
        images, captions = torch.stack([r[0] for r in rows]), [r[1] for r in rows]
        return PictureBatch(images, captions, positions, labels, [r[3] for r in rows])

    def range(self, start: int, stop: int) -> PictureBatch:
        """The samples from `start` to `stop` of the index, in order; `stop` is not included."""
        return self.__getitems__([(i, i) for i in range(start, min(stop, len(self)))])


class CachedFeatures(Dataset[dict[str, Tensor]]):
    """Cached features: batches of rows of arrays of equal length, with their `positions`. `keys` are the samples' names."""

    def __init__(self, arrays: Mapping[str, np.ndarray | Rows], keys: Sequence[str]) -> None:
        self.arrays, self.keys = dict(arrays), keys

    def name(self, i: int) -> str:
        return str(self.keys[i])

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitems__(self, places: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
        rows = [i for _, i in places]
        batch = {name: torch.from_numpy(a[rows]) for name, a in self.arrays.items()}
        batch["positions"] = torch.tensor([p for p, _ in places])
        return batch


def collate(batch: Any) -> Any:
    """Return the batch as it is: these datasets fetch complete batches."""
    return batch


def pictures(source: Source, cache: Path, split: str, heads: Sequence[str] = ()) -> Pictures | None:
    """The pictures of a split with the labels of these heads; None if the split is empty. Missing shards are made first."""
    shards = source.prepare(cache)[split]
    if not shards:
        return None
    return Pictures(build_index(shards, cache), source.image_size, heads)
