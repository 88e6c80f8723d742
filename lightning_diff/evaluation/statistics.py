"""Scores from features: FID by torchmetrics' statistics, CLIP score as 100 cos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from ..data.decode import to_unit
from ..nets.text import Tower

Extractor = Callable[[Tensor], Tensor]  # uint8 [B, 3, H, W] -> [B, F]


class Given(nn.Module):
    """Stands where torchmetrics expects a feature net, for features that are already there."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """FID between two sets of features [N, F] (sums in float64; negative rounding errors are clamped to 0)."""
    metric = FrechetInceptionDistance(feature=Given(real.shape[1]))
    metric.update(real.float(), real=True)
    metric.update(made.float(), real=False)
    return max(0.0, float(metric.compute()))


def clip_scores(images: Tensor, texts: Tensor) -> Tensor:
    """100 cos of unit features [N, E] of pictures and of their captions."""
    return 100 * (images * texts).sum(dim=1)


def judge_features(tower: Tower) -> Extractor:
    """The judging tower's picture embedding, before it is brought to unit length."""
    return lambda images: tower.image_features(to_unit(images.to(tower.device)), normalize=False).cpu()


def inception_features(weights: Path) -> Extractor:
    """torch-fidelity's Inception v3, 2048 features, from a local file (read as plain tensors, never unpickled)."""
    from torchmetrics.image.fid import NoTrainInceptionV3

    torch.load(weights, map_location="cpu", weights_only=True)  # refuses anything but tensors before it is read again
    net = NoTrainInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights))
    return lambda images: net(images)


@torch.no_grad()
def features_of(images: Tensor, extract: Extractor, batch: int = 128) -> Tensor:
    return torch.cat([extract(images[i : i + batch]) for i in range(0, len(images), batch)])
