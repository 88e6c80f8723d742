"""The base classes of feature extractors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...config.fields import path
from ...config.registry import Choice
from ...files import file_hash

if TYPE_CHECKING:
    import torch

    from ..features import Extractor


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor(Choice):
    """A feature extractor: it maps pictures to features."""

    safetensors: ClassVar[bool] = True  # whether its weights file is safetensors
    # What it sees of a picture in a folder: the centre square of so many pixels, 0 that of the judging tower, None all of it.
    side: ClassVar[int | None] = 0

    def build(self, device: torch.device) -> Extractor | None:
        """The function from pictures to features on the CPU. None means the judging tower's embedding, which is computed for
        every picture anyway. Raises ConfigError if the file does not hold its weights."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Its name in passports."""
        return self.kind

    @property
    def made_by(self) -> str:
        """Everything that its features depend on: its name, the hash of its weights, and the hash of its plugin."""
        weights = getattr(self, "weights", None)
        return " ".join(filter(None, [self.name, file_hash(Path(weights)) if weights else "", self.plugin]))


@dataclass(frozen=True, kw_only=True)
class FromFile(FeatureExtractor):
    """An extractor that reads its net from a local file, `weights`."""

    weights: str | None = path(None)

    def conflicts(self) -> Iterator[str]:
        if not self.weights:
            yield (
                f"evaluation.features={self.kind}: its weights must be a local file; say evaluation/features={self.kind} "
                "evaluation.features.weights=PATH"
            )
