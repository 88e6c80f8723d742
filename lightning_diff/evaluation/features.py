"""Computation of features from pictures, by the judging tower or by a feature extractor (evaluation/extractors/)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..data.decode import to_unit
from ..devices import full_float32
from ..nets.text import Tower
from ..progress import tracked

Extractor = Callable[[Tensor], Tensor]  # uint8 [B, 3, H, W] -> [B, F], on the CPU


def judge_features(tower: Tower) -> Extractor:
    """The judging tower's picture embedding, without normalisation to unit length."""
    return lambda images: tower.image_features(to_unit(images.to(tower.device)), normalize=False).cpu()


@torch.no_grad()
def features_of(images: Tensor, extract: Extractor, batch: int = 128, title: str = "") -> Tensor:
    """Features [B, F] of pictures, uint8 [B, 3, H, W], in full float32 precision. With a `title`, the progress is shown."""
    starts = range(0, len(images), batch)
    shown = tracked(starts, title, len(starts)) if title else starts
    with full_float32("cuda" if torch.cuda.is_available() else "cpu"):
        return torch.cat([extract(images[i : i + batch]) for i in shown])
