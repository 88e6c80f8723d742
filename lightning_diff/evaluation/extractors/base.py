"""What all feature extractors share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...config.registry import Choice
from ...files import file_hash

if TYPE_CHECKING:
    import torch

    from ..features import Extractor


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor(Choice):
    """Pictures to features."""

    safetensors: ClassVar[bool] = True  # the form of its weights' file

    def build(self, device: torch.device) -> Extractor | None:
        """Pictures to features on the CPU; None takes the judging tower's embedding, which every picture has anyway. Raises
        ConfigError for a file that is not its weights."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """What passports call it."""
        return self.kind

    @property
    def made_by(self) -> str:
        """All that its features depend on: its name, the hash of its weights, and that of its plugin."""
        weights = getattr(self, "weights", None)
        return " ".join(filter(None, [self.name, file_hash(Path(weights)) if weights else "", self.plugin]))


@dataclass(frozen=True, kw_only=True)
class FromFile(FeatureExtractor):
    """An extractor whose net is read from a local file, `weights`."""

    weights: str | None = None

    def conflicts(self) -> Iterator[str]:
        if not self.weights:
            yield (
                f"evaluation.features={self.kind}: its weights must be a local file; say evaluation/features={self.kind} "
                "evaluation.features.weights=PATH"
            )
