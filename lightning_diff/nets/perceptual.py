"""How unlike two pictures look to a net that has learned to see."""

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
    """LPIPS (Zhang et al. 2018) on VGG-16, by torchmetrics, whose package has its linear layers; the VGG-16 is given as
    a local safetensors file of torchvision's weights. Pictures [B, 3, H, W] in [-1, 1] -> a number."""

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
    """The mean square between the hidden states of a tower's picture half, each of unit length, over all its layers:
    what stands in for LPIPS where its weights are not at hand."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = tower.requires_grad_(False).eval()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = ([F.normalize(h, dim=1) for h in self.tower.image_layers(p)] for p in (x, y))
        return torch.stack([(p - q).square().sum(1).mean() for p, q in zip(a, b, strict=True)]).mean()
