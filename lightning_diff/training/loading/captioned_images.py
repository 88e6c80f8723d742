"""A LightningDataModule of captioned pictures, for any Trainer."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, Sampler

from ...config.errors import ConfigError
from ...config.registry import named
from ...data.dataset import PictureBatch, Pictures, collate, pictures
from ...data.decode import SUFFIXES, to_tensor
from ...data.order import Batches, FullOrder, Place
from ...data.pixels import square_of
from ...data.remote.ahead import Ahead
from ...data.sources.base import Source, meant_by
from ...data.square import fit_square
from .datamodule import EpochBatches

CAPTIONS = ("txt", "caption", "text")


class CaptionedImages(pl.LightningDataModule):
    """Batches of pictures and captions from shards (a pattern of .tar files), a folder, a Source, or a webdataset.WebDataset.

    Of the first three the order is a pure function of the seed: ranks, workers and restarts do not change it. The test split is
    the validation set. A WebDataset pipeline gives samples in its own order, once for each epoch; a run that continues does not
    go on at the same sample. `batch` is the global batch, over all ranks. `cache` keeps what was read of the set."""

    def __init__(
        self,
        source: str | Path | Source | IterableDataset[Any],
        image_size: int = 64,
        batch: int = 32,
        seed: int = 0,
        workers: int = 0,
        cache: str | Path = "outputs/cache",
        validation_batches: int = 4,
    ) -> None:
        super().__init__()
        self.source, self.image_size, self.batch, self.seed, self.workers = source, image_size, batch, seed, workers
        self.cache, self.validation_batches = Path(cache), validation_batches
        self.splits: dict[str, Pictures | None] = {}

    def prepare_data(self) -> None:
        if not isinstance(self.source, IterableDataset):
            source_of(self.source, self.image_size).prepare(self.cache)

    def setup(self, stage: str | None = None) -> None:
        if not isinstance(self.source, IterableDataset):
            source = source_of(self.source, self.image_size)
            framing = source.framing(self.seed)
            self.splits = {"train": pictures(source, self.cache, "train", framing=framing)}
            self.splits["test"] = pictures(source, self.cache, "test")

    def train_dataloader(self) -> DataLoader[Any]:
        ranks = self._ranks()
        if isinstance(self.source, IterableDataset):
            each = self.batch // ranks
            return DataLoader(
                self.source, each, num_workers=self.workers, collate_fn=Collated(self.image_size), drop_last=True
            )
        train = self.splits["train"]
        assert train is not None and self.trainer is not None
        return self._loader(train, EpochBatches(self.trainer, len(train), train.order(self.batch, self.seed)))

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        test = self.splits.get("test")
        if test is None or self.trainer is None:
            return []
        count = max(1, min(self.validation_batches, len(test) // self.batch))
        rank = self.trainer.global_rank
        order = FullOrder(len(test), min(self.batch, len(test)), 0)
        return self._loader(test, Batches(order, count, 0, rank, self._ranks()))

    def _ranks(self) -> int:
        """The number of ranks. Raises ConfigError if they cannot share a batch evenly."""
        ranks = 1 if self.trainer is None else self.trainer.world_size
        if self.batch % ranks:
            raise ConfigError(f"batch={self.batch}: must be a multiple of the {ranks} ranks")
        return ranks

    def _loader(self, dataset: Pictures, batches: Sampler[Any]) -> DataLoader[Any]:
        assert self.trainer is not None
        pinned = self.trainer.strategy.root_device.type == "cuda"
        return DataLoader(
            WholeBatches(dataset),
            None,
            sampler=Shared(Ahead(batches, dataset.index)),
            num_workers=self.workers,
            pin_memory=pinned,
            collate_fn=collate,
        )


class WholeBatches(Dataset[Any]):
    """A dataset whose items are whole batches."""

    def __init__(self, dataset: Pictures) -> None:
        self.dataset = dataset

    def __getitem__(self, places: list[Place]) -> PictureBatch:
        return self.dataset.__getitems__(places)


class Shared(DistributedSampler[Any]):
    """Batches that are shared between the ranks already. Being a DistributedSampler, it is left as it is by every Trainer."""

    def __init__(self, batches: Sampler[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def set_epoch(self, epoch: int) -> None:
        """The order follows from the step."""


def source_of(source: str | Path | Source, image_size: int) -> Source:
    """The Source that a name, a folder or a pattern of shards stands for. Raises ConfigError."""
    if isinstance(source, Source):
        return source
    kind, keys = meant_by(source)
    cls: Any = named("data", kind)
    made: Source = cls(image_size=image_size, **keys)
    return made


class Collated:
    """Makes a batch (uint8 [B, 3, size, size], captions) of a WebDataset pipeline's samples: dicts with the usual endings, or
    pairs (picture, caption). A picture may be bytes, a PIL image, or a uint8 tensor [3, H, W]."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, samples: Sequence[Any]) -> dict[str, Any]:
        pairs = [self._pair(sample) for sample in samples]
        return {
            "images": torch.stack([self._square(image) for image, _ in pairs]),
            "captions": [text for _, text in pairs],
        }

    def _pair(self, sample: Any) -> tuple[Any, str]:
        if isinstance(sample, Mapping):
            image = next((sample[key] for key in sample if key.lower() in (*SUFFIXES, "image", "images")), None)
            text = next((sample[key] for key in CAPTIONS if key in sample), None)
        else:
            image, text = sample[0], sample[1]
        if image is None or text is None:
            known = ", ".join(map(str, sample)) if isinstance(sample, Mapping) else type(sample).__name__
            raise ConfigError(f"a sample with {known}: it needs a picture (jpg, png, ...) and a caption (txt)")
        return image, text.decode("utf-8", "replace").strip() if isinstance(text, bytes) else str(text).strip()

    def _square(self, image: Any) -> Tensor:
        if isinstance(image, bytes):
            return square_of(image, self.size)
        if isinstance(image, Tensor):
            image = Image.fromarray(image.permute(1, 2, 0).numpy())
        if not isinstance(image, Image.Image):
            image = Image.open(io.BytesIO(bytes(image)))
        return to_tensor(fit_square(image.convert("RGB"), self.size))
