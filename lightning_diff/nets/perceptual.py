"""Perceptual distances: how different two pictures are for a pretrained net."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from ..config.errors import ConfigError
from .text import Tower
from .weights import read_state

SLICES = ((0, 4), (4, 9), (9, 16), (16, 23), (23, 30))  # of VGG-16's features; each ends with a ReLU
WIDTHS = (64, 128, 256, 512, 512)


class Lpips(nn.Module):
    """LPIPS (Zhang et al. 2018) on VGG-16. torchmetrics' package has the weights of its linear layers. `weights` is a local
    safetensors file with torchvision's VGG-16. Pictures [B, 3, H, W] in [-1, 1] -> a number."""

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        features = torchvision.models.vgg16(weights=None).features
        self.slices = nn.ModuleList(nn.Sequential(*features[a:b]) for a, b in SLICES)
        self.linear = nn.ModuleList(nn.Conv2d(w, 1, 1, bias=False) for w in WIDTHS)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None], persistent=False)
        state = {n.removeprefix("features."): t for n, t in read_state(weights).items() if n.startswith("features.")}
        try:
            features.load_state_dict(state)
        except RuntimeError as e:
            raise ConfigError(
                f"autoencoder.lpips_weights={weights}: not torchvision's VGG-16 ({type(e).__name__})"
            ) from e
        linear = torch.load(
            resources.files("torchmetrics") / "functional/image/lpips_models/vgg.pth",  # type: ignore[arg-type]
            map_location="cpu",
            weights_only=True,
        )
        for n, layer in enumerate(self.linear):
            layer.load_state_dict({"weight": linear[f"lin{n}.model.1.weight"]})
        self.requires_grad_(False)

    def _features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the five slices, each pixel's features of unit length."""
        x, found = (x - self.shift) / self.scale, []
        for part in self.slices:
            x = part(x)
            found.append(x / torch.sqrt(1e-8 + (x**2).sum(dim=1, keepdim=True)))
        return found

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(self._features(x), self._features(y), self.linear, strict=True)
        each = [layer((a - b) ** 2).mean([2, 3], keepdim=True) for a, b, layer in pairs]
        return torch.stack(each).sum(0).mean()


class TowerDistance(nn.Module):
    """The mean squared difference between the hidden states of a CLIP model's picture tower, over all its layers. Each hidden
    state has unit length. It replaces LPIPS where the VGG-16 weights are not available."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = tower.requires_grad_(False).eval()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = ([F.normalize(h, dim=1) for h in self.tower.image_layers(p)] for p in (x, y))
        return torch.stack([(p - q).square().sum(1).mean() for p, q in zip(a, b, strict=True)]).mean()
