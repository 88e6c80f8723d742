"""The judging tower as a feature extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...config.registry import choice
from .base import FeatureExtractor

if TYPE_CHECKING:
    import torch


@choice("features", "judge")
class JudgingTower(FeatureExtractor):
    """The judging tower's picture embedding, before it is brought to unit length. It needs no file of its own."""

    def build(self, device: torch.device) -> None:
        return None
