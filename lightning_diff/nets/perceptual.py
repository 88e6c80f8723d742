"""Perceptual distances: how different two pictures are for a pretrained net."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.image.lpips import _NoTrainLpips

from ..config.errors import ConfigError
from .text import Tower
from .weights import read_state


class Lpips(nn.Module):
    """LPIPS (Zhang et al. 2018) on VGG-16, from torchmetrics, whose package contains the linear layers. `weights` is a local
    safetensors file with torchvision's VGG-16. Pictures [B, 3, H, W] in [-1, 1] -> a number."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.net = _NoTrainLpips(net="vgg", pnet_rand=True)
        state = read_state(weights)
        places = {n.split(".", 1)[1]: n for n in self.net.net.state_dict()}  # slice3.14.weight: features.14.weight
        try:
            named = {place: state[f"features.{layer}"] for layer, place in places.items()}
            self.net.net.load_state_dict(named)
        except (KeyError, RuntimeError) as e:
            raise ConfigError(
                f"autoencoder.lpips_weights={weights}: not torchvision's VGG-16 ({type(e).__name__})"
            ) from e
        self.requires_grad_(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.net(x, y).mean()


class TowerDistance(nn.Module):
    """The mean squared difference between the hidden states of a CLIP model's picture tower, over all its layers. Each hidden
    state has unit length. It replaces LPIPS where the VGG-16 weights are not available."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = tower.requires_grad_(False).eval()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = ([F.normalize(h, dim=1) for h in self.tower.image_layers(p)] for p in (x, y))
        return torch.stack([(p - q).square().sum(1).mean() for p, q in zip(a, b, strict=True)]).mean()
