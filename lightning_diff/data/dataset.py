"""Datasets that return samples as tensors: decoded pictures with captions, or cached features of frozen nets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .cached.rows import Rows
from .decode import BadPicture, decode
from .index import Index
from .order import FullOrder, Order, Place
from .ordering.buckets import Framing
from .ordering.ordering import Ordering
from .pixels import square_of, tensor_of
from .remote.carried import carried_of
from .sources.base import Source

log = logging.getLogger(__name__)
Features = np.ndarray | Rows
MOST_BAD = 100  # pictures in a row
ORDERING = Ordering()


@dataclass
class PictureBatch:
    """A batch. `images` uint8 [B, 3, H, W] in channels_last memory, as pictures are decoded. `positions` int64 [B] in the stream,
    `labels` {head: int64 [B]}, -1 for unknown. A hard negative is almost the caption, but wrong for the picture; an empty
    string if there is none."""

    images: Tensor
    captions: list[str]
    positions: Tensor
    labels: dict[str, Tensor]
    hard_negatives: list[str]


class Pictures(Dataset[PictureBatch]):
    """Captioned pictures. A list of places (position, sample, turn) fetches a complete batch.

    A picture that could be decoded when the set was read through, but cannot any more, is named in the log. Another one, drawn
    from the whole set by a hash of its number, takes its place, so the order stays a pure function."""

    def __init__(
        self,
        index: Index,
        image_size: int,
        heads: Sequence[str] = (),
        fit: str = "crop",
        ordering: Ordering = ORDERING,
        framing: Framing | None = None,
    ) -> None:
        self.index, self.image_size, self.heads, self.fit = index, image_size, tuple(heads), fit
        self.ordering, self.framing = ordering, framing
        self.buckets = index.shapes(framing.shapes if framing else None)
        self.reader = index.reader()

    def __len__(self) -> int:
        return len(self.index)

    def name(self, i: int) -> str:
        return self.index.name(i)

    def square(self, data: bytes) -> Tensor:
        """A picture's bytes as uint8 [3, H, W]. Raises BadPicture."""
        return square_of(data, self.image_size, self.fit)

    def framed(self, data: bytes, i: int, position: int) -> Tensor:
        """A picture's bytes as uint8 [3, H, W], in the shape of sample i. Raises BadPicture."""
        if self.framing is None or self.buckets is None:
            return self.square(data)
        shape = self.framing.shapes[int(self.buckets[i])]
        return tensor_of(self.framing.cut(decode(data, max(shape)), shape, position))

    def order(self, batch: int, seed: int) -> Order:
        """The order of the training in global batches."""
        buckets = self.buckets if self.framing and len(self.framing.shapes) > 1 else None
        order = self.index.order(self.ordering, batch, seed, buckets)
        self.reader.carried = carried_of(order, self.index)
        return order

    def read(self, i: int, turn: int = 0, position: int = 0) -> tuple[Tensor, str, dict[str, int], str]:
        """(picture, caption, labels, hard negative). A sample's several captions take turns from epoch to epoch."""
        for attempt in range(MOST_BAD):
            place = (
                i if not attempt else int(np.random.Generator(np.random.Philox(key=[i, attempt])).integers(len(self)))
            )
            data, caption, record = self.reader.read(place, turn)
            try:
                picture = self.framed(data, i, position)
            except BadPicture as e:
                log.warning("%s cannot be read any more (%s); another one takes its place", self.name(place), e)
                continue
            labels = record.get("labels")
            negative = record.get("contrast")
            known = labels if isinstance(labels, dict) else {}
            return picture, caption, known, negative if isinstance(negative, str) else ""
        raise BadPicture(
            f"{MOST_BAD} pictures in a row cannot be decoded; the set has changed since it was read through"
        )

    def __getitems__(self, places: Sequence[Place]) -> PictureBatch:
        if self.reader.carried:
            self.reader.carried.at(places[0][0] // self.reader.carried.order.batch)
        return self._batch(places)

    def _batch(self, places: Sequence[Place]) -> PictureBatch:
        pixels, captions, known, negatives = np.empty((0, 0, 0, 3), np.uint8), [], [], []
        for n, (position, i, turn) in enumerate(places):
            picture, caption, stated, negative = self.read(i, turn, position)
            if not n:
                pixels = np.empty((len(places), *picture.shape[1:], 3), np.uint8)
            pixels[n] = picture.permute(1, 2, 0).numpy()  # at once, while it is in the core's cache
            captions.append(caption)
            known.append({head: value for head, value in stated.items() if isinstance(value, int)})
            negatives.append(negative)
        labels = {head: torch.tensor([k.get(head, -1) for k in known]) for head in self.heads}
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return PictureBatch(images, captions, torch.tensor([p for p, _, _ in places]), labels, negatives)

    def range(self, start: int, stop: int) -> PictureBatch:
        """The samples from `start` to `stop` of the index, in order; `stop` is not included."""
        return self._batch([(i, i, 0) for i in range(start, min(stop, len(self)))])


class CachedFeatures(Dataset[dict[str, Tensor]]):
    """Cached features of N samples: batches of rows of arrays, with their `positions`. `keys` are the samples' names.

    `pictures` are arrays of N rows, `captions` arrays of a row for each caption: those of sample i begin at `first`[i] (int64
    [N + 1]). Several captions of a sample take turns from epoch to epoch. `ordered` gives the order (batch, seed)."""

    def __init__(
        self,
        pictures: Mapping[str, Features],
        captions: Mapping[str, Features],
        first: np.ndarray,
        keys: Sequence[str],
        ordered: Callable[[int, int], Order] | None = None,
    ) -> None:
        self.pictures, self.captions, self.first, self.keys = dict(pictures), dict(captions), first, keys
        self.ordered = ordered

    def order(self, batch: int, seed: int) -> Order:
        """The order of the training in global batches."""
        return self.ordered(batch, seed) if self.ordered else FullOrder(len(self), batch, seed)

    def name(self, i: int) -> str:
        return str(self.keys[i])

    def __len__(self) -> int:
        return len(self.first) - 1

    def __getitems__(self, places: Sequence[Place]) -> dict[str, Tensor]:
        positions, rows, turns = np.asarray(places).T
        said = self.first[rows] + turns % (self.first[rows + 1] - self.first[rows])
        batch = {name: torch.from_numpy(a[rows]) for name, a in self.pictures.items()}
        batch |= {name: torch.from_numpy(a[said]) for name, a in self.captions.items()}
        batch["positions"] = torch.from_numpy(positions)
        return batch


def collate(batch: Any) -> Any:
    """Return the batch as it is: these datasets fetch complete batches."""
    return batch


def pictures(
    source: Source, cache: Path, split: str, heads: Sequence[str] = (), framing: Framing | None = None
) -> Pictures | None:
    """The pictures of a split with the labels of these heads; None if the split is empty. Missing shards are made first."""
    index = source.prepare(cache).splits.get(split)
    return None if index is None else Pictures(index, source.image_size, heads, source.fit, source.ordering, framing)
